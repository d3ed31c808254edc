"""Saving: a checkpoint has the state at the time of the call, and appears complete or not at all."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch

from tests.checkpoint.conftest import Save, tensors
from tzrec.checkpoint import saver as module
from tzrec.checkpoint import store
from tzrec.checkpoint.manifest import CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.restore import restore
from tzrec.checkpoint.saver import Saver
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
    write = module._write
    monkeypatch.setattr(module, "_write", lambda *args: gate.wait() and write(*args))
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
    monkeypatch.setattr(module.env, "available_memory", lambda: 100.0)
    monkeypatch.setattr(module, "_copy_tensor", lambda value: pytest.fail("copied"))
    saver = Saver(tmp_path, 0, lambda older: ())
    live = tensors(1.0)
    saved = saver.save(CheckpointManifest(Position(1)), {"model": live, "optimizer": {}}, "{}")
    live["table"].fill_(99.0)
    restored = tensors(0.0)
    restore(saved.path / "model", restored)
    assert torch.equal(restored["table"], torch.ones(6, 4))


@pytest.mark.parametrize("stage", ["_write", "_with_local_files", "_publish"])
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
    write = module._write
    monkeypatch.setattr(
        module, "_write", lambda where, parts, group: written.append(parts) or write(where, parts, group)
    )
    saver = Saver(tmp_path, 0, lambda older: ())
    live = tensors(1.0)
    saver.save(CheckpointManifest(Position(1)), {"model": live, "optimizer": {}}, "{}", is_frozen=True)
    saver.wait()
    assert written[0]["table"] is live["table"]
