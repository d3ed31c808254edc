"""Log lines and event files of a run."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import SaveResult
from tzrec.data.batch import Cursor
from tzrec.run.evaluation import Evaluation
from tzrec.run.listeners import Progress, TensorBoard, losses_text, progress_bar, progress_line
from tzrec.run.metric_logger import StepLog, StopCondition

LOSSES = {"binary_cross_entropy_ctr": 0.187, "binary_cross_entropy_cvr": 0.025}


def step_log(step: int, stop_condition: StopCondition) -> StepLog:
    return StepLog(Position(step, Cursor(0, 8192)), stop_condition, LOSSES, (1e-3, 1e-3), 36_400.0, 279.0)


def test_progress_line_of_known_length_has_fraction_and_eta() -> None:
    log = step_log(1199, StopCondition(2441, 1))
    assert progress_line(log, log.position) == (
        "train  1,200/2,441 steps  epoch 1/1  49 %|####9     | 36.4k samples/s  eta 4:39  "
        "loss 0.212 (ctr 0.187, cvr 0.025)  lr 1.0e-3"
    )


def test_progress_line_with_train_metrics_lists_them() -> None:
    log = replace(step_log(1199, StopCondition(2441, 1)), metrics={"auc_ctr": 0.71239})
    assert "(ctr 0.187, cvr 0.025)  auc_ctr 0.7124  lr 1.0e-3" in progress_line(log, log.position)


def test_progress_line_of_unknown_length_has_steps_and_epochs() -> None:
    log = StepLog(Position(9, Cursor(1, 10)), StopCondition(None, 3), {"l2_loss": 0.5}, (0.1, 0.02), 980.0, None)
    line = "train  10 steps  epoch 2/3  980 samples/s  loss 0.5  lr 1.0e-1, 2.0e-2"
    assert progress_line(log, log.position) == line


def test_progress_line_at_end_of_epoch_counts_that_epoch() -> None:
    log = StepLog(Position(9, Cursor(1, 0)), StopCondition(10, 1), {"l2_loss": 0.5}, (0.1,), 980.0, 0.0)
    assert "10/10 steps  epoch 1/1  100 %|##########|" in progress_line(log, log.position)


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


def test_progress_without_terminal_logs_one_line_per_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tzrec")
    stream = io.StringIO()
    progress = Progress(stream)
    log = step_log(1, StopCondition(10))
    progress.on_log(log)
    progress.on_step(log.position)
    progress.on_save(SaveResult(Path("model/model.ckpt-1"), 0.084, 396_000_000))
    progress.on_end()
    first, second = caplog.messages
    assert first.startswith("train  2/10 steps")
    assert second == "save   model.ckpt-1  396 MB in the background; the loop waited 0.08 s"
    assert stream.getvalue() == ""


def test_tensorboard_writes_training_and_evaluation_events(tmp_path: Path) -> None:
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tensorboard = TensorBoard(tmp_path)
    tensorboard.on_log(replace(step_log(3, StopCondition(10)), metrics={"auc_ctr": 0.5}))
    tensorboard.on_evaluation(Evaluation(3, {"auc_ctr": 0.75}, 10, 1.0))
    tensorboard.on_end()
    events = loading.EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == {
        *(f"loss/{name}" for name in (*LOSSES, "total")),
        "lr/g0",
        "lr/g1",
        "metric/auc_ctr",
        "speed/rows_per_s",
    }
    (event,) = events.Scalars("loss/total")
    assert (event.step, event.value) == (3, pytest.approx(0.212))
    assert events.Scalars("metric/auc_ctr")[0].value == 0.5
    (event,) = loading.EventAccumulator(str(tmp_path / "eval_val")).Reload().Scalars("metric/auc_ctr")
    assert (event.step, event.value) == (3, 0.75)
