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


def test_restore_of_absent_tensor_of_a_later_version_makes_it_zero(save: Save) -> None:
    targets = {"bias": torch.zeros(2), "later": torch.ones(3), "missing": torch.ones(1)}
    result = restore(save(1, 2.0).path / "model", targets, zero_if_absent=["later", "bias"])
    assert result.problems == ["missing: not in the checkpoint"]
    assert torch.equal(targets["later"], torch.zeros(3))
    assert torch.equal(targets["missing"], torch.ones(1))
    assert torch.equal(targets["bias"], torch.tensor([2.0, -2.0])), "one that the checkpoint has is read"


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


def test_restore_of_rows_of_other_layouts_is_equal(tmp_path: Path, save: Save) -> None:
    stored = torch.arange(24.0).view(6, 4)
    path = save(1, 2.0, rows=stored, transposed=stored.T, whole=torch.arange(5)).path / "model"
    targets = {"rows": torch.zeros(4, 6).T, "transposed": torch.zeros(4, 6), "whole": torch.zeros(5)}
    assert restore(path, targets).problems == []
    assert torch.equal(targets["rows"], stored), "into a tensor that is not contiguous"
    assert torch.equal(targets["transposed"], stored.T), "contiguous once stored"
    assert torch.equal(targets["whole"], torch.arange(5.0)), "of another type"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04" + b"(" * 2_000_000 + b".", "cannot be read"),
        (b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x.", "cannot be read"),
        (b"\x80\x04N.", "not the description of a checkpoint"),
        (b"", "cannot be read"),
        (b"\x80\x04cos\nsystem\n.", "os.system, which no checkpoint needs"),
    ],
)
def test_restore_with_other_metadata_raises(tmp_path: Path, save: Save, content: bytes, message: str) -> None:
    path = save(1, 2.0).path / "model"
    (path / ".metadata").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        restore(path, tensors(0.0))


def test_restore_with_path_outside_raises(tmp_path: Path, save: Save) -> None:
    path = save(1, 2.0).path / "model"
    metadata = pickle.loads((path / ".metadata").read_bytes())
    for info in metadata.storage_data.values():
        info.relative_path = "../../../etc/passwd"
    (path / ".metadata").write_bytes(pickle.dumps(metadata))
    with pytest.raises(CheckpointError, match=r"names a file outside its directory: \.\./\.\./\.\./etc/passwd"):
        restore(path, tensors(0.0))


def test_restore_of_truncated_file_raises(tmp_path: Path, save: Save) -> None:
    path = save(1, 2.0, large=torch.zeros(100_000)).path / "model"
    data = path / "__0_0.distcp"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="is damaged"):
        restore(path, {"large": torch.ones(100_000)})
