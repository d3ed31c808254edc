"""Checkpoints in a store: complete or invisible, whatever request of a save fails, and whatever a process leaves."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch

from tests.checkpoint.conftest import tensors
from tests.fixtures.faulty_store import FaultyStore, fail_from, fail_once, faulty  # noqa: F401 - a fixture
from tzrec.checkpoint import store
from tzrec.checkpoint.manifest import CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.restore import restore
from tzrec.checkpoint.saver import Saver
from tzrec.errors import CheckpointError, StoreError
from tzrec.storage.path import StorePath, to_path

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.distributed is disabled"),
    pytest.mark.usefixtures("faulty"),
]
NUM_FILES = 6  # plan, manifest, and two files for each of two parts


@pytest.fixture
def model_dir() -> StorePath:
    path = to_path("faulty://bucket/model")
    assert isinstance(path, StorePath)
    return path


def save(model_dir: StorePath, step: int, keep: int = 0) -> Saver:
    saver = Saver(model_dir, keep, lambda older: (), max_failed=3)
    parts = {"model": tensors(float(step)), "optimizer": {"table.sum": torch.full((6, 4), step / 2)}}
    saver.save(CheckpointManifest(Position(step), is_finite=True), parts, "{}")
    saver.wait()
    return saver


def steps(model_dir: StorePath) -> list[int]:
    return [int(path.name.removeprefix("model.ckpt-")) for path in store.list_checkpoints(model_dir)]


def restored(checkpoint: store.Checkpoint) -> float:
    """Read the number of which a checkpoint is full."""
    values = tensors(0.0)
    restore(checkpoint.path / "model", values).ensure_complete("incomplete")
    assert torch.equal(values["table"], values["table"][0, 0].expand(6, 4))
    return float(values["table"][0, 0])


def names_of(model_dir: StorePath) -> set[str]:
    return {name.split("/")[0] for name in model_dir.files()}


def test_checkpoint_is_saved_and_restored(model_dir: StorePath) -> None:
    save(model_dir, 1).finish()
    assert len((model_dir / "model.ckpt-1").files()) == NUM_FILES
    assert names_of(model_dir) == {"model.ckpt-1"}
    latest = store.latest(model_dir)
    assert latest is not None and latest.step == 1 and restored(latest) == 1.0
    assert restored(store.find(to_path("faulty://bucket/model/model.ckpt-1"))) == 1.0


@pytest.mark.parametrize("fault", [fail_once, fail_from])
def test_save_with_a_fault_at_any_request_leaves_whole_checkpoints(
    fault: Callable[[int], Callable[[int], Exception | None]],
    faulty: FaultyStore,  # noqa: F811
    model_dir: StorePath,
) -> None:
    save(model_dir, 1)
    faulty.reset()
    save(model_dir, 2)
    num_changes = faulty.num_changes
    assert num_changes >= NUM_FILES
    outcomes = set()
    for number in range(1, num_changes + 1):
        faulty.store.clear()
        faulty.reset()
        save(model_dir, 1)
        faulty.reset()
        FaultyStore.fails = staticmethod(fault(number))
        saver = save(model_dir, 2)
        faulty.reset()  # the next process
        found = store.recover(model_dir)
        assert found is not None and restored(found) == found.step
        is_saved = saver._error is None
        assert found.step == 2 or not is_saved, f"request {number}: a save that succeeded is lost"
        assert steps(model_dir) in ([1], [1, 2])
        outcomes.add((found.step, is_saved))
        store.remove_unfinished(model_dir)
        save(model_dir, 3).finish()
        assert names_of(model_dir) == {f"model.ckpt-{step}" for step in steps(model_dir)}, f"request {number}"
        assert steps(model_dir)[-1] == 3
    assert {(1, False), (2, True)} <= outcomes


def test_failed_save_names_the_file_and_counts(
    model_dir: StorePath,
    caplog: pytest.LogCaptureFixture,
) -> None:
    FaultyStore.fails = staticmethod(lambda number: OSError("no space in the bucket"))
    saver = Saver(model_dir, 0, lambda older: (), max_failed=2)
    with caplog.at_level(logging.WARNING, "tzrec"):
        saver.save(CheckpointManifest(Position(1)), {"model": tensors(1.0)}, "{}")
        saver.wait()
    assert "model.ckpt-1 was not saved: faulty://bucket/model/model.ckpt-1.unfinished: no space in" in caplog.text
    assert "failure 1 in a row" in caplog.text
    saver.save(CheckpointManifest(Position(2)), {"model": tensors(1.0)}, "{}")
    with pytest.raises(CheckpointError, match=r"failed 2 times in a row .*no space in the bucket.*; there is no check"):
        saver.wait()


def test_damaged_checkpoint_is_moved_aside(model_dir: StorePath) -> None:
    save(model_dir, 1)
    save(model_dir, 2)
    path = model_dir / "model.ckpt-2" / "model" / "__0_0.distcp"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = store.recover(model_dir)
    assert found is not None and found.step == 1
    assert names_of(model_dir) == {"model.ckpt-1", "model.ckpt-2.damaged"}
    assert len((model_dir / "model.ckpt-2.damaged").files()) == NUM_FILES


def test_store_that_fails_is_no_damage(model_dir: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    save(model_dir, 1)

    def fail(*args: object, **kwargs: object) -> bytes:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(FaultyStore, "cat_file", fail)
    with pytest.raises(StoreError, match=r"model.ckpt-1/manifest.json: Access Denied .*; use credentials that may"):
        store.recover(model_dir)
    monkeypatch.undo()
    assert names_of(model_dir) == {"model.ckpt-1"}


def test_prune_keeps_the_newest(model_dir: StorePath) -> None:
    for step in (1, 2, 3):
        save(model_dir, step, keep=2)
    assert names_of(model_dir) == {"model.ckpt-2", "model.ckpt-3"}


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7])
def test_deletion_that_ends_early_is_finished_by_the_next_run(
    number: int,
    faulty: FaultyStore,  # noqa: F811
    model_dir: StorePath,
) -> None:
    for step in (1, 2):
        save(model_dir, step)
    faulty.reset()
    FaultyStore.fails = staticmethod(fail_from(number))
    with pytest.raises(StoreError):
        store.prune(model_dir, 1, lambda older: (), store.VerifiedCheckpoints())
    faulty.reset()
    assert steps(model_dir) in ([2], [1, 2])
    store.remove_unfinished(model_dir)
    assert names_of(model_dir) == {f"model.ckpt-{step}" for step in steps(model_dir)}


def test_unfinished_checkpoint_is_neither_listed_nor_opened(model_dir: StorePath) -> None:
    save(model_dir, 1)
    (model_dir / "model.ckpt-1.unfinished").write_bytes(b"")
    (model_dir / "model.ckpt-1" / "manifest.json").unlink()
    assert steps(model_dir) == []
    with pytest.raises(CheckpointError, match=r"model.ckpt-1 is not complete"):
        store.find(model_dir / "model.ckpt-1")


def test_restore_reads_no_more_than_it_needs(faulty: FaultyStore, model_dir: StorePath) -> None:  # noqa: F811
    saver = Saver(model_dir, 0, lambda older: ())
    large = {name: torch.ones(1 << 20) for name in ("a", "b", "c", "d")}
    saver.save(CheckpointManifest(Position(1)), {"model": large}, "{}")
    saver.finish()
    faulty.reset()
    target = {"c": torch.zeros(1 << 20)}
    result = restore(model_dir / "model.ckpt-1" / "model", target)
    assert torch.equal(target["c"], torch.ones(1 << 20)) and result.unexpected == ("a", "b", "d")
    assert faulty.num_bytes_read < 1.6 * target["c"].nbytes


def test_results_are_appended(model_dir: StorePath) -> None:
    from tzrec.data.atomic import append_lines

    path = model_dir / store.RESULTS
    append_lines(path, ['{"global_step": 1, "auc": 0.5}'])
    append_lines(path, ['{"global_step": 3, "auc": 0.6}'])
    assert [line["global_step"] for line in store.read_results(path)] == [1, 3]
    store.repeat_from(model_dir, 2)
    assert path.read_text() == '{"global_step": 1, "auc": 0.5}\n'
