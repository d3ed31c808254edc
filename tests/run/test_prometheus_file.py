"""The file for the textfile collector of a node exporter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.run.test_progress import step_log
from tzrec.checkpoint.saver import SaveResult
from tzrec.run.evaluation import Evaluation
from tzrec.run.prometheus_file import PrometheusFile
from tzrec.run.skipped_steps import SkippedSteps
from tzrec.run.stop_condition import StopCondition
from tzrec.run.training_loop import Outcome


def read(path: Path) -> dict[tuple[str, Any], float]:
    """Parse the file as Prometheus does."""
    parser = pytest.importorskip("prometheus_client.parser")
    samples = {}
    for family in parser.text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            assert sample.labels.pop("run") == 'a "model"'
            samples[sample.name.removeprefix("tzrec_train_"), next(iter(sample.labels.values()), "")] = sample.value
    return samples


def test_prometheus_file_has_the_gauges_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tzrec.run.prometheus_file.time.time", lambda: 1_700_000_000.5)
    path = tmp_path / "tzrec.prom"
    listener = PrometheusFile(str(path), Path('a "model"'))
    listener.on_log(replace(step_log(1199, StopCondition(2441, 1)), metrics={"auc_ctr": 0.75}))
    listener.on_skip(SkippedSteps(num_steps=2))
    listener.on_save(SaveResult(Path("model.ckpt-1199"), 0.1, 10))
    listener.on_evaluation(Evaluation(1199, {"auc_ctr": 0.5, "auc_cvr": float("nan")}, 10, 1.0))
    samples = read(path)
    assert samples.pop(("evaluation", "auc_cvr")) != samples["evaluation", "auc_ctr"], "NaN"
    assert samples == {
        ("state", "running"): 1,
        ("state", "finished"): 0,
        ("state", "stopped"): 0,
        ("state", "failed"): 0,
        ("step", ""): 1199,
        ("epoch", ""): 0,
        ("rows_per_second", ""): 36400,
        ("eta_seconds", ""): 279,
        ("loss", "binary_cross_entropy_ctr"): 0.187,
        ("loss", "binary_cross_entropy_cvr"): 0.025,
        ("batch_metric", "auc_ctr"): 0.75,
        ("learning_rate", "0"): 0.001,
        ("learning_rate", "1"): 0.001,
        ("evaluation", "auc_ctr"): 0.5,
        ("skipped_steps", ""): 2,
        ("last_log_timestamp_seconds", ""): 1_700_000_000.5,
        ("last_checkpoint_timestamp_seconds", ""): 1_700_000_000.5,
    }


@pytest.mark.parametrize(("signal", "state"), [(0, "finished"), (2, "stopped"), (None, "failed")])
def test_prometheus_file_at_the_end_has_the_state(signal: int | None, state: str, tmp_path: Path) -> None:
    listener = PrometheusFile(str(tmp_path / "a.prom"), Path('a "model"'))
    listener.on_log(step_log(3, StopCondition(10)))
    if signal is not None:
        listener.on_complete(Outcome(9, signal=signal))
    listener.on_end()
    samples = read(tmp_path / "a.prom")
    assert [name for gauge, name in samples if gauge == "state" and samples[gauge, name]] == [state]
    assert samples["step", ""] == (3 if signal is None else 9)
    assert [path.name for path in tmp_path.iterdir()] == ["a.prom"]
