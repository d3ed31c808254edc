"""A run that is killed between a checkpoint and its evaluation equals an uninterrupted run, with its evaluations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.small_run import Job, assert_equal, results, tensors
from tzrec.checkpoint import store
from tzrec.checkpoint.saver import SaveResult
from tzrec.config.check import load_checked
from tzrec.errors import CheckpointError
from tzrec.run.listeners import Listener
from tzrec.run.train import train

LOSS = "metric: 'binary_cross_entropy_ctr' larger_is_better: false"
EDITS = {
    "train_config__dense_optimizer": "sgd_optimizer { lr: 3 } constant_learning_rate {}",
    "train_config__save_checkpoints_steps": 2,
    "train_config__reduce_on_plateau": f"{LOSS} patience: 1 factor: 0.1",
}
"""A learning rate far too high: the evaluation loss is best after a few steps, then the plateau rule acts."""


class Kill(Exception):  # noqa: N818 - not an error
    """Raised where a process would be killed."""


class KillAfterSave(Listener):
    """Listener that ends a run after the checkpoint of a step, before its evaluation."""

    def __init__(self, step: int) -> None:
        self._name = f"model.ckpt-{step}"

    def on_save(self, saved: SaveResult) -> None:
        if saved.path.name == self._name:
            raise Kill


def kill_after_save(job: Job, tmp_path: Path, step: int) -> Path:
    with pytest.raises(CheckpointError, match="holds no"):
        store.find(tmp_path / "cut")
    job("other", **EDITS, train_config__num_steps=1)  # writes job.config
    text = (tmp_path / "job.config").read_text().replace(f"{tmp_path}/other", f"{tmp_path}/cut")
    (tmp_path / "cut.config").write_text(text)
    config = load_checked(str(tmp_path / "cut.config"), {name.replace("__", "."): v for name, v in EDITS.items()})
    with pytest.raises(Kill):
        train(config, listeners=[KillAfterSave(step)])
    assert step not in [line["global_step"] for line in results(tmp_path / "cut")]
    assert store.find(tmp_path / "cut").step == step
    return tmp_path / "cut"


def test_checkpoint_without_evaluation_is_evaluated_first(job: Job, tmp_path: Path) -> None:
    """The evaluation of step 8 lowers the learning rates of the steps after it."""
    whole, _ = job("whole", **EDITS)
    cut = kill_after_save(job, tmp_path, 8)
    job("cut", resume=True, **EDITS)
    assert results(cut) == results(whole)
    assert_equal(tensors(whole, 19), tensors(cut, 19))


def test_last_checkpoint_without_evaluation_is_evaluated(job: Job, tmp_path: Path) -> None:
    whole, _ = job("whole", **EDITS)
    cut = kill_after_save(job, tmp_path, 19)
    _, log = job("cut", resume=True, **EDITS)
    assert log.losses == []
    assert results(cut) == results(whole)


@pytest.mark.parametrize("cut_bytes", [1, 20, 10_000])
def test_torn_last_evaluation_is_repeated(job: Job, cut_bytes: int, caplog: pytest.LogCaptureFixture) -> None:
    model_dir, _ = job("model", **EDITS, train_config__num_steps=9)
    path = model_dir / store.RESULTS
    whole = path.read_text()
    path.write_text(whole[: max(0, len(whole) - cut_bytes)])
    job("model", resume=True, **EDITS, train_config__num_steps=9)
    assert path.read_text() == (whole if cut_bytes < 10_000 else f"{whole.splitlines()[-1]}\n")
    assert ("skipped, not an evaluation" in caplog.text) == (cut_bytes == 20)


def test_evaluations_after_restored_checkpoint_are_not_written_twice(job: Job) -> None:
    """The process ended while the newest checkpoint was written, after its evaluation."""
    whole, _ = job("whole", **EDITS)
    cut, _ = job("cut", **EDITS, train_config__num_steps=11)
    store.remove_directory(cut / "model.ckpt-10")
    job("cut", resume=True, **EDITS)
    assert results(cut) == results(whole)
    assert_equal(tensors(whole, 19), tensors(cut, 19))


def test_evaluation_between_two_intervals_does_not_count_for_resumed_run(job: Job) -> None:
    """An uninterrupted run has no evaluation of step 7, with which the first part ends."""
    whole, _ = job("whole", **EDITS)
    cut, _ = job("cut", **EDITS, train_config__num_steps=8)
    assert [line["global_step"] for line in results(cut)][-1] == 7
    job("cut", resume=True, **EDITS)
    assert_equal(tensors(whole, 19), tensors(cut, 19))
    assert [line for line in results(cut) if line["global_step"] != 7] == results(whole)
