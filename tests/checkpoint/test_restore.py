"""Restoring: partial loads say what does not fit, and nothing in a checkpoint can run code."""

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


def test_partial_load_reports_by_name(tmp_path: Path, save: Save) -> None:
    path = save(1, 2.0).path / "model"
    wanted = {"table": torch.zeros(8, 4), "bias": torch.zeros(2), "tower": torch.full((1,), 7.0)}
    result = restore(path, wanted)
    assert result.missing == ("tower",)
    assert result.mismatched == {"table": ((6, 4), (8, 4))}
    assert result.problems == ["tower: not in the checkpoint", "table: [6, 4] in the checkpoint, [8, 4] in the model"]
    assert torch.equal(wanted["bias"], torch.tensor([2.0, -2.0]))
    assert wanted["table"].abs().sum() == 0, "a table of another size is left alone, not filled in part"
    assert wanted["tower"] == 7.0


def test_unused_is_listed(tmp_path: Path, save: Save) -> None:
    path = save(1, 2.0).path / "model"
    assert restore(path, {"bias": torch.zeros(2)}).unexpected == ("table",)
    assert stored_sizes(path) == {"table": (6, 4), "bias": (2,)}


def test_one_old_tensor_may_become_several(tmp_path: Path, save: Save) -> None:
    wanted = {"tower.a": torch.zeros(2), "tower.b": torch.zeros(2), "bias": torch.zeros(2)}
    result = restore(save(1, 2.0).path / "model", wanted, {"tower.a": "bias", "tower.b": "bias"})
    assert result.problems == []
    assert all(torch.equal(value, torch.tensor([2.0, -2.0])) for value in wanted.values())


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("owned",)


def test_no_code_is_unpickled(tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(1, 2.0).path / "model"
    (path / ".metadata").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match=r"mkdir, which no checkpoint needs"):
        restore(path, tensors(0.0))
    assert not Path("owned").exists()


def test_no_code_is_unpickled_from_tensors(tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(1, 2.0).path / "model"
    data = path / "__0_0.distcp"
    size = data.stat().st_size
    torch.save(Evil(), data)
    with data.open("ab") as stream:
        stream.write(b"\0" * max(0, size - data.stat().st_size))
    with pytest.raises(CheckpointError, match="is damaged"):
        restore(path, tensors(0.0))
    assert not Path("owned").exists()
