"""Restoring tensors: partial loads, and no unpickled code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from tests.checkpoint.conftest import Save, tensors
from tzrec.checkpoint.restore import restore, stored_sizes
from tzrec.errors import CheckpointError

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


def test_restore_of_part_reports_missing_and_mismatched(tmp_path: Path, save: Save) -> None:
    path = save(1, 2.0).path / "model"
    targets = {"table": torch.zeros(8, 4), "bias": torch.zeros(2), "tower": torch.full((1,), 7.0)}
    result = restore(path, targets)
    assert result.missing == ("tower",)
    assert result.mismatched == {"table": ((6, 4), (8, 4))}
    assert result.problems == ["tower: not in the checkpoint", "table: [6, 4] in the checkpoint, [8, 4] in the model"]
    assert torch.equal(targets["bias"], torch.tensor([2.0, -2.0]))
    assert targets["table"].abs().sum() == 0, "a table of another size is not filled in part"
    assert targets["tower"] == 7.0


def test_restore_lists_unexpected_tensors(tmp_path: Path, save: Save) -> None:
    path = save(1, 2.0).path / "model"
    assert restore(path, {"bias": torch.zeros(2)}).unexpected == ("table",)
    assert stored_sizes(path) == {"table": (6, 4), "bias": (2,)}


def test_restore_of_one_tensor_fills_several(tmp_path: Path, save: Save) -> None:
    targets = {"tower.a": torch.zeros(2), "tower.b": torch.zeros(2), "bias": torch.zeros(2)}
    result = restore(save(1, 2.0).path / "model", targets, {"tower.a": "bias", "tower.b": "bias"})
    assert result.problems == []
    assert all(torch.equal(value, torch.tensor([2.0, -2.0])) for value in targets.values())


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def test_restore_of_code_in_metadata_raises(tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(1, 2.0).path / "model"
    (path / ".metadata").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(CheckpointError, match=r"mkdir, which no checkpoint needs"):
        restore(path, tensors(0.0))
    assert not Path("executed").exists()


def test_restore_of_code_in_tensors_raises(tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(1, 2.0).path / "model"
    data = path / "__0_0.distcp"
    size = data.stat().st_size
    torch.save(Malicious(), data)
    with data.open("ab") as stream:
        stream.write(b"\0" * max(0, size - data.stat().st_size))
    with pytest.raises(CheckpointError, match="is damaged"):
        restore(path, tensors(0.0))
    assert not Path("executed").exists()
