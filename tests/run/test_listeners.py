"""Event files of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.run.test_progress import LOSSES, step_log
from tzrec.run.evaluation import Evaluation
from tzrec.run.listeners import TensorBoard
from tzrec.run.stop_condition import StopCondition


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
