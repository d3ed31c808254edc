"""What a run prints and writes for those who watch it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import SaveResult
from tzrec.data.batch import Cursor
from tzrec.run.evaluate import Evaluation
from tzrec.run.listeners import Progress, TensorBoard, bar, evaluation_line, losses_text, progress_line
from tzrec.run.metric_logger import StepLog, StopCondition

LOSSES = {"binary_cross_entropy_ctr": 0.187, "binary_cross_entropy_cvr": 0.025}


def log(step: int, goal: StopCondition, row: int = 8192) -> StepLog:
    return StepLog(Position(step, Cursor(0, row)), goal, LOSSES, (1e-3, 1e-3), 36_400.0, 279.0)


def test_progress_line() -> None:
    logged = log(1199, StopCondition(2441, 1))
    assert progress_line(logged, logged.position) == (
        "train  1,200/2,441 steps  epoch 1/1  49 %|####9     | 36.4k samples/s  eta 4:39  "
        "loss 0.212 (ctr 0.187, cvr 0.025)  lr 1.0e-3"
    )


def test_progress_line_with_metrics_of_training() -> None:
    logged = replace(log(1199, StopCondition(2441, 1)), metrics={"auc_ctr": 0.71239})
    assert "(ctr 0.187, cvr 0.025)  auc_ctr 0.7124  lr 1.0e-3" in progress_line(logged, logged.position)


def test_progress_line_where_the_end_is_not_known() -> None:
    logged = StepLog(Position(9, Cursor(1, 10)), StopCondition(None, 3), {"l2_loss": 0.5}, (0.1, 0.02), 980.0, None)
    line = "train  10 steps  epoch 2/3  980 samples/s  loss 0.5  lr 1.0e-1, 2.0e-2"
    assert progress_line(logged, logged.position) == line


def test_the_end_of_a_pass_belongs_to_it() -> None:
    logged = StepLog(Position(9, Cursor(1, 0)), StopCondition(10, 1), {"l2_loss": 0.5}, (0.1,), 980.0, 0.0)
    assert "10/10 steps  epoch 1/1  100 %|##########|" in progress_line(logged, logged.position)


def test_evaluation_line() -> None:
    evaluation = Evaluation(1200, {"auc_ctr": 0.63412, "auc_cvr": 0.64069}, 200_000, 200_000 / 61_000)
    assert evaluation_line(evaluation) == "eval   step 1200  auc_ctr 0.6341  auc_cvr 0.6407  (200,000 rows, 61.0k/s)"
    assert evaluation.line() == '{"global_step": 1200, "auc_ctr": 0.63412, "auc_cvr": 0.64069}'


@pytest.mark.parametrize(
    ("losses", "text"),
    [
        ({"l2_loss": 0.5}, "loss 0.5"),
        ({"l2_loss_a": 0.5, "l2_loss_b": 1.0}, "loss 1.5 (a 0.5, b 1)"),
        ({"l2_loss_a": 0.5, "jrc_loss_b": 1.0}, "loss 1.5 (l2_loss_a 0.5, jrc_loss_b 1)"),
        ({"l2_loss_clk": 1, "l2_loss_clk2": 1, "l2_loss_cart": 1}, "loss 3 (clk 1, clk2 1, cart 1)"),
    ],
)
def test_losses_leave_out_what_their_names_share(losses: dict[str, float], text: str) -> None:
    assert losses_text(losses) == text


def test_bar_shows_tenths() -> None:
    assert [bar(share) for share in (0.0, 0.05, 0.49, 1.0)] == [" " * 10, "5         ", "####9     ", "#" * 10]


def test_in_a_file_one_line_per_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tzrec")
    stream = io.StringIO()
    progress = Progress(stream)
    logged = log(1, StopCondition(10))
    progress.on_log(logged)
    progress.on_step(logged.position)
    progress.on_save(SaveResult(Path("model/model.ckpt-1"), 0.084, 396_000_000))
    progress.on_end()
    first, second = caplog.messages
    assert first.startswith("train  2/10 steps")
    assert second == "save   model.ckpt-1  396 MB in the background; the loop waited 0.08 s"
    assert stream.getvalue() == ""


def test_event_files(tmp_path: Path) -> None:
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = TensorBoard(tmp_path)
    board.on_log(replace(log(3, StopCondition(10)), metrics={"auc_ctr": 0.5}))
    board.on_evaluation(Evaluation(3, {"auc_ctr": 0.75}, 10, 1.0))
    board.on_end()
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
