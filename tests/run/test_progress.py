"""Log lines of a run, and the line that moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.log_lines import recorded_log
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import SaveResult
from tzrec.data.batch import Cursor
from tzrec.formatting import progress_bar
from tzrec.live_line import LiveLine
from tzrec.run.metric_logger import StepLog
from tzrec.run.progress import Progress, losses_text, progress_line
from tzrec.run.stop_condition import StopCondition

LOSSES = {"binary_cross_entropy_ctr": 0.187, "binary_cross_entropy_cvr": 0.025}


def step_log(step: int, stop_condition: StopCondition) -> StepLog:
    return StepLog(Position(step, Cursor(0, 8192)), stop_condition, LOSSES, (1e-3, 1e-3), 36_400.0, 279.0)


def test_progress_line_of_known_length_has_fraction_and_eta() -> None:
    log = step_log(1199, StopCondition(2441, 1))
    assert progress_line(log) == (
        "train  1,200/2,441 steps  epoch 1/1  49 %|####9     | 36.4k samples/s  eta 4:39  "
        "loss 0.212 (ctr 0.187, cvr 0.025)  lr 1.0e-3"
    )


def test_progress_line_of_run_that_may_end_early_has_the_most_time_left() -> None:
    log = step_log(1199, StopCondition(2441, 1, has_early_end=True))
    assert "36.4k samples/s  eta at most 4:39  loss" in progress_line(log)


def test_progress_line_with_train_metrics_lists_them() -> None:
    log = replace(step_log(1199, StopCondition(2441, 1)), metrics={"auc_ctr": 0.71239})
    assert "(ctr 0.187, cvr 0.025)  auc_ctr 0.7124  lr 1.0e-3" in progress_line(log)


def test_progress_line_of_unknown_length_has_steps_and_epochs() -> None:
    log = StepLog(Position(9, Cursor(1, 10)), StopCondition(None, 3), {"l2_loss": 0.5}, (0.1, 0.02), 980.0, None)
    line = "train  10 steps  epoch 2/3  980 samples/s  loss 0.5  lr 1.0e-1, 2.0e-2"
    assert progress_line(log) == line


def test_progress_line_at_end_of_epoch_counts_that_epoch() -> None:
    log = StepLog(Position(9, Cursor(1, 0)), StopCondition(10, 1), {"l2_loss": 0.5}, (0.1,), 980.0, 0.0)
    assert "10/10 steps  epoch 1/1  100 %|##########|" in progress_line(log)


@pytest.mark.parametrize(
    ("losses", "text"),
    [
        ({"l2_loss": 0.5}, "loss 0.5"),
        ({"l2_loss_a": 0.5, "l2_loss_b": 1.0}, "loss 1.5 (a 0.5, b 1)"),
        ({"l2_loss_a": 0.5, "jrc_loss_b": 1.0}, "loss 1.5 (l2_loss_a 0.5, jrc_loss_b 1)"),
        ({"l2_loss_clk": 1, "l2_loss_clk2": 1, "l2_loss_cart": 1}, "loss 3 (clk 1, clk2 1, cart 1)"),
    ],
)
def test_losses_text_omits_common_prefix(losses: dict[str, float], text: str) -> None:
    assert losses_text(losses) == text


def test_progress_bar_shows_tenths_and_digit() -> None:
    assert [progress_bar(fraction) for fraction in (0.0, 0.05, 0.49, 1.0)] == [
        " " * 10,
        "5         ",
        "####9     ",
        "#" * 10,
    ]


class Screen(LiveLine):
    """Live line that remembers what it draws."""

    is_live = True

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[str] = []

    def draw(self, text: str) -> None:
        self.drawn.append(text)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("tzrec.run.progress.time.monotonic", lambda: now[0])
    return now


def test_progress_without_terminal_logs_one_line_per_log(clock: list[float]) -> None:
    with recorded_log() as lines:
        progress = Progress()
        log = step_log(1, StopCondition(10))
        progress.on_loop(lambda: log)
        progress.on_log(log)
        progress.on_step(log.position)
        progress.on_save(SaveResult(Path("model/model.ckpt-1"), 0.084, 396_000_000))
        progress.on_end()
    first, second = lines
    assert first.startswith("train  2/10 steps")
    assert second == "save   model.ckpt-1  396 MB in the background; the loop waited 0.08 s"


def test_progress_without_terminal_logs_a_line_where_steps_take_long(clock: list[float]) -> None:
    logs = [step_log(step, StopCondition(100)) for step in range(5)]
    with recorded_log() as lines:
        progress = Progress()
        progress.on_loop(lambda: log)
        for log, now in zip(logs, (101, 106, 150, 165, 167), strict=True):
            clock[0] = now
            progress.on_step(log.position)
    assert [line.split()[1] for line in lines] == ["2/100", "5/100"], "after 5 seconds, and a minute later"


def test_progress_on_terminal_draws_steps_with_loss_and_eta(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen()
    monkeypatch.setattr("tzrec.run.progress.live_line", screen)
    first, second = replace(step_log(0, StopCondition(10)), is_warm_up=True, eta=None), step_log(3, StopCondition(10))
    with recorded_log() as lines:
        progress = Progress()
        progress.on_loop(lambda: first if clock[0] < 101 else second)
        for now in (100.1, 100.2, 100.4, 101.0):
            clock[0] = now
            progress.on_step(first.position)
        progress.on_log(second)
    assert lines == [], "only saves and evaluations leave a line"
    assert screen.drawn == [
        "train  1/10 steps  epoch 1  10 %|#         |  loss 0.212 (ctr 0.187, cvr 0.025)  lr 1.0e-3",
        "train  1/10 steps  epoch 1  10 %|#         |  loss 0.212 (ctr 0.187, cvr 0.025)  lr 1.0e-3",
        "train  4/10 steps  epoch 1  40 %|####      | 36.4k samples/s  eta 4:39  loss 0.212 (ctr 0.187, cvr 0.025)  "
        "lr 1.0e-3",
    ]


def test_progress_line_of_epochs_without_known_steps_has_the_share_of_rows() -> None:
    log = StepLog(Position(9, Cursor(1, 500)), StopCondition(None, 2, 1000), {"l2_loss": 0.5}, (0.1,), 980.0, 12.0)
    assert progress_line(log) == (
        "train  10 steps  epoch 2/2  75 %|#######5  | 980 samples/s  eta 0:12  loss 0.5  lr 1.0e-1"
    )
