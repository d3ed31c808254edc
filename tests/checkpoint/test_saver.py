"""Saving: a checkpoint has the state at the time of the call, and appears complete or not at all."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from tests.checkpoint.conftest import Save, tensors
from tests.fixtures.small_disk import small_disk
from tzrec.checkpoint import copy_memory, store, tensor_files
from tzrec.checkpoint import saver as module
from tzrec.checkpoint.manifest import CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.restore import restore
from tzrec.checkpoint.saver import Saver, describe
from tzrec.errors import CheckpointError

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


def test_save_writes_files_and_manifest(tmp_path: Path, save: Save) -> None:
    saved = save(7, 3.0)
    assert saved.path == tmp_path / "model.ckpt-7"
    assert saved.size == 4 * (24 + 2 + 24)
    names = {path.relative_to(saved.path).as_posix() for path in saved.path.rglob("*") if path.is_file()}
    files = {"plan", "model/.metadata", "model/__0_0.distcp", "optimizer/.metadata", "optimizer/__0_0.distcp"}
    assert names == files | {"manifest.json"}
    manifest = json.loads((saved.path / "manifest.json").read_text())
    assert manifest["position"] == {"step": 7, "cursor": {"epoch": 2, "row": 30, "window": 8}, "first_epoch": 0}
    assert manifest["rng"] == {"0": "cmFuZG9t"}
    assert set(manifest["files"]) == files
    assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt-7"]


def test_save_excludes_later_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    write = tensor_files.write_tensors
    monkeypatch.setattr(tensor_files, "write_tensors", lambda *args: gate.wait() and write(*args))
    saver = Saver(tmp_path, 0, lambda older: ())
    live = tensors(1.0)
    saver.save(CheckpointManifest(Position(1)), {"model": live, "optimizer": {}}, "{}")
    live["table"].fill_(99.0)
    gate.set()
    saver.wait()
    restored = tensors(0.0)
    restore(tmp_path / "model.ckpt-1" / "model", restored)
    assert torch.equal(restored["table"], torch.ones(6, 4))


def test_save_with_little_memory_waits_without_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_memory.env, "available_memory", lambda: 100.0)
    monkeypatch.setattr(copy_memory, "_copy_into", lambda block, value: pytest.fail("copied"))
    saver = Saver(tmp_path, 0, lambda older: ())
    live = tensors(1.0)
    saved = saver.save(CheckpointManifest(Position(1)), {"model": live, "optimizer": {}}, "{}")
    live["table"].fill_(99.0)
    restored = tensors(0.0)
    restore(saved.path / "model", restored)
    assert torch.equal(restored["table"], torch.ones(6, 4))


@pytest.mark.parametrize("stage", ["write_synced", "_with_local_files", "_publish"])
def test_save_that_fails_raises_and_keeps_old_checkpoint(
    tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    save(1, 1.0)

    def full(*args: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(module, stage, full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save(2, 2.0)
    assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt-1"]
    latest = store.latest(tmp_path)
    assert latest
    assert latest.step == 1


def test_save_replaces_damaged_checkpoint_of_same_step(tmp_path: Path, save: Save) -> None:
    save(1, 1.0)
    (tmp_path / "model.ckpt-1" / "manifest.json").unlink()
    save(1, 5.0)
    latest = store.latest(tmp_path)
    assert latest
    restored = tensors(0.0)
    restore(latest.path / "model", restored)
    assert torch.equal(restored["bias"], torch.tensor([5.0, -5.0]))
    assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt-1"]


def test_save_prunes_all_but_newest_and_protected(tmp_path: Path, save: Save) -> None:
    for step in (5, 10, 100, 20):
        save(step, 1.0, keep=2, protected=[tmp_path / "model.ckpt-5"])
    assert [path.name for path in store.list_checkpoints(tmp_path)] == [
        "model.ckpt-5",
        "model.ckpt-20",
        "model.ckpt-100",
    ]


def test_save_and_restore_of_any_dtype_are_equal(tmp_path: Path, save: Save) -> None:
    odd = {
        "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "brain": torch.tensor([[3.0]], dtype=torch.bfloat16),
        "count": torch.tensor(7, dtype=torch.int64),
        "scalar": torch.tensor(3.0),
        "strided": torch.arange(6.0).view(2, 3).T,
        "empty": torch.empty(0, 4),
    }
    save(1, 1.0, **odd)
    restored = {name: torch.zeros_like(value) for name, value in odd.items()}
    result = restore(tmp_path / "model.ckpt-1" / "model", restored)
    assert result.problems == []
    for name, value in odd.items():
        assert torch.equal(restored[name], value), name


def test_save_of_frozen_tensors_makes_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    write = tensor_files.write_tensors
    monkeypatch.setattr(
        tensor_files, "write_tensors", lambda where, parts, group: written.append(parts) or write(where, parts, group)
    )
    saver = Saver(tmp_path, 0, lambda older: ())
    live = tensors(1.0)
    saver.save(CheckpointManifest(Position(1)), {"model": live, "optimizer": {}}, "{}", is_frozen=True)
    saver.wait()
    assert written[0]["table"].data_ptr() == live["table"].data_ptr()


def test_save_below_limit_of_failures_warns_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    saver = Saver(tmp_path, 0, lambda older: (), max_failed=3)

    def save(step: int) -> None:
        saver.save(CheckpointManifest(Position(step)), {"model": tensors(1.0)}, "{}")
        saver._join()

    def fail(*args: object) -> None:
        raise dcp.CheckpointException("write", {0: (OSError(5, "Input/output error"), [])})

    monkeypatch.setattr(tensor_files, "write_tensors", fail)
    save(1)
    save(2)
    assert not saver.has_given_up
    assert [record.getMessage() for record in caplog.records] == [
        f"model.ckpt-{step} was not saved: Input/output error; training goes on (failure {step} in a row, "
        "train_config.max_failed_saves: 3)"
        for step in (1, 2)
    ]
    with pytest.raises(CheckpointError, match=r"the last checkpoint could not be saved, model\.ckpt-2 with: Input/out"):
        saver.finish()
    monkeypatch.undo()
    save(3)
    saver.finish()  # a success resets the count
    monkeypatch.setattr(tensor_files, "write_tensors", fail)
    for step in (4, 5, 6):
        save(step)
    assert saver.has_given_up
    with pytest.raises(CheckpointError, match=r"failed 3 times in a row .*; the newest checkpoint is model\.ckpt-3"):
        save(7)
    assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt-3"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), MemoryError(), AssertionError("no")])
def test_save_reports_errors_of_any_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(tensor_files, "write_tensors", fail)
    saver = Saver(tmp_path, 0, lambda older: ())
    saver.save(CheckpointManifest(Position(1)), {"model": tensors(1.0)}, "{}")
    with pytest.raises(CheckpointError, match=f"with: {describe(error)}; there is no checkpoint") as caught:
        saver.wait()
    assert caught.value.__cause__ is error


def test_save_on_full_disk_names_cause_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "300k") as disk:
        saver = Saver(disk, 0, lambda older: (), max_failed=2)
        saver.save(CheckpointManifest(Position(1)), {"model": {"a": torch.zeros(20_000)}}, "{}")
        saver.save(CheckpointManifest(Position(2)), {"model": {"a": torch.zeros(200_000)}}, "{}")
        with pytest.raises(CheckpointError, match=r"model.ckpt-2 with: No space left on device; the newest .*ckpt-1"):
            saver.finish()
        assert [path.name for path in disk.iterdir()] == ["model.ckpt-1"]
        saver.save(CheckpointManifest(Position(3)), {"model": {"a": torch.zeros(20_000)}}, "{}")
        saver.finish()
        latest = store.latest(disk)
        assert latest
        assert latest.step == 3


def test_finish_with_changed_checkpoint_raises(tmp_path: Path) -> None:
    saver = Saver(tmp_path, 0, lambda older: ())
    saver.save(CheckpointManifest(Position(1)), {"model": tensors(1.0)}, "{}")
    saver.wait()
    (tmp_path / "model.ckpt-1" / "plan").write_text("[]")
    with pytest.raises(CheckpointError, match="plan does not match its checksum"):
        saver.finish()


def test_save_without_memory_for_copy_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: int, kind: object) -> None:
        raise MemoryError

    monkeypatch.setattr(copy_memory.np, "empty", refuse)
    saver = Saver(tmp_path, 0, lambda older: ())
    table = torch.arange(24.0).view(6, 4)
    saver.save(CheckpointManifest(Position(1)), {"model": {"part": table[2:4]}}, "{}")
    assert saver._thread is None, "written before save returns"
    restored = {"part": torch.zeros(2, 4)}
    restore(tmp_path / "model.ckpt-1" / "model", restored)
    assert torch.equal(restored["part"], table[2:4])
    assert (tmp_path / "model.ckpt-1" / "model" / "__0_0.distcp").stat().st_size < 2000


def test_prune_that_fails_is_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(older: object) -> list[Path]:
        raise CheckpointError("no evaluation has this metric")

    saver = Saver(tmp_path, 1, fail)
    for step in (1, 2):
        saver.save(CheckpointManifest(Position(step)), {"model": tensors(1.0)}, "{}")
    saver.finish()
    assert "were not deleted: no evaluation has this metric" in caplog.text
    assert len(store.list_checkpoints(tmp_path)) == 2
