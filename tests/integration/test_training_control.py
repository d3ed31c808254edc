"""Early stopping, plateaus and time limits on one rank and two, and runs resumed after them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.small_run import Job, assert_equal, losses_on, results, tensors, write_data
from tzrec.checkpoint import store

EVERY_TWO = {"train_config__save_checkpoints_steps": 2}
# a learning rate far too high: the evaluation loss is best after a few steps
WILD = {"train_config__dense_optimizer": "sgd_optimizer { lr: 3 } constant_learning_rate {}", **EVERY_TWO}
LOSS = "metric: 'binary_cross_entropy_ctr' larger_is_better: false"
EARLY = {"train_config__early_stopping": f"{LOSS} patience: 2"}
PLATEAU = {"train_config__reduce_on_plateau": f"{LOSS} patience: 1 factor: 0.1"}


def num_evaluations_until_stop(values: list[float], patience: int) -> int:
    """Count the evaluations until `patience` in a row were not below the smallest before them."""
    for number in range(patience, len(values)):
        if min(values[number - patience + 1 : number + 1]) >= min(values[: number - patience + 1]):
            return number + 1
    return len(values)


def test_early_stopping_ends_run_at_evaluation_of_full_run(job: Job) -> None:
    full = [line["binary_cross_entropy_ctr"] for line in results(job("full", **WILD)[0])]
    early, log = job("early", **WILD, **EARLY)
    count = num_evaluations_until_stop(full, 2)
    assert count < len(full) == 10
    assert [line["binary_cross_entropy_ctr"] for line in results(early)] == full[:count]
    assert store.list_checkpoints(early)[-1].name == f"model.ckpt-{2 * count}"
    assert len(log.losses) == 2 * count + 1


def test_early_stopped_run_resumes_only_with_more_patience(job: Job) -> None:
    early, _ = job("early", **WILD, **EARLY)
    evaluations = len(results(early))
    _, log = job("early", resume=True, **WILD, **EARLY)
    assert log.losses == []
    assert len(results(early)) == evaluations
    job("early", resume=True, **WILD, train_config__early_stopping=f"{LOSS} patience: 3")
    assert len(results(early)) == evaluations + 1


def test_plateau_reduces_rates_and_resumed_run_is_equal(job: Job) -> None:
    plain, whole = job("plain", **WILD)[0], job("whole", **WILD, **PLATEAU)[0]
    manifest = store.find(whole).manifest
    assert manifest
    assert manifest.numbers["reduce_on_plateau.factor"] < 1
    assert results(plain) != results(whole)
    for steps in (7, 9):  # steps 6 and 8 are evaluated in the whole run as well
        job(f"cut{steps}", train_config__num_steps=steps, **WILD, **PLATEAU)
        cut, _ = job(f"cut{steps}", resume=True, **WILD, **PLATEAU)
        assert_equal(tensors(whole, 19), tensors(cut, 19))


def test_best_checkpoints_are_kept_with_newest(job: Job) -> None:
    keep = {"train_config__keep_checkpoint_max": 1, "train_config__keep_checkpoint_best": 2}
    metric = {"export_config__best_exporter_metric": "binary_cross_entropy_ctr"}
    model_dir, _ = job("model", **WILD, **keep, **metric, export_config__metric_larger_is_better="false")
    values = {line["global_step"]: line["binary_cross_entropy_ctr"] for line in results(model_dir)}
    best = sorted((step for step in values if step != 19), key=lambda step: (values[step], -step))[:2]
    names = [path.name for path in store.list_checkpoints(model_dir)]
    assert names == [f"model.ckpt-{step}" for step in sorted([*best, 19])]


def test_time_limit_ends_run_and_resumed_run_is_equal(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    whole, _ = job("whole")
    cut, log = job("cut", train_config__max_minutes=1e-9)
    assert len(log.losses) == 1, "the current step is completed"
    assert [line["global_step"] for line in results(cut)] == [0]
    assert "train_config.max_minutes is over" in caplog.text
    job("cut", resume=True)
    assert_equal(tensors(whole, 19), tensors(cut, 19))


@pytest.mark.slow
def test_early_stopping_on_two_ranks_and_resumed_run_is_equal(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    edits: dict[str, Any] = {**WILD, **EARLY, **PLATEAU, "data_config__batch_size": 32}
    whole = losses_on(2, tmp_path, "whole", **edits)
    full = [line["binary_cross_entropy_ctr"] for line in results(tmp_path / "whole")]
    assert len(whole) == 2 * len(full) + 1 < 20
    assert num_evaluations_until_stop([*full, 99.0], 2) == len(full)
    losses_on(2, tmp_path, "cut", **edits, train_config__num_steps=5)
    assert losses_on(2, tmp_path, "cut", resume=True, **edits) == whole[5:]
    late = losses_on(2, tmp_path, "late", **edits, train_config__max_minutes=1e-9)
    assert late == whole[:1]
