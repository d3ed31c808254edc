from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tzrec.errors import PackageError
from tzrec.serving.weights import map_weights, write_weights


def test_write_weights_round_trip_keeps_types_and_alignment(tmp_path: Path) -> None:
    tensors = {
        "steps": torch.tensor([1, 2, 3]),
        "a": torch.randn(3, 2),
        "b": torch.randn(1, 4),
        "none": torch.empty(0, 5),
        "half": torch.randn(3, 1).half(),
        "bytes": torch.tensor([7], dtype=torch.uint8),
    }
    write_weights(tmp_path / "w", tensors)
    read = map_weights(tmp_path / "w")
    assert list(read.tensors) == list(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(read.tensors[name], tensor)
        assert read.tensors[name].dtype == tensor.dtype
        assert read.tensors[name].data_ptr() % tensor.itemsize == 0
    flat = read.flat(["a", "b"])
    assert torch.equal(flat.view(torch.float32), torch.cat([tensors["a"].view(-1), tensors["b"].view(-1)]))
    assert read.flat([]).numel() == 0


def test_write_weights_writes_safetensors_format(tmp_path: Path) -> None:
    """8 bytes of header length, a JSON header padded to 64 bytes, then the numbers."""
    write_weights(tmp_path / "w", {"a": torch.tensor([1.0, 2.0])})
    data = (tmp_path / "w").read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert (8 + length) % 64 == 0
    assert json.loads(data[8 : 8 + length]) == {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    assert data[8 + length :] == bytes.fromhex("0000803f00000040")


@pytest.mark.parametrize("damage", [b"", b'\x05\x00\x00\x00\x00\x00\x00\x00{"a"', b"\xff" * 20])
def test_map_weights_of_damaged_file_raises(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "w").write_bytes(damage)
    with pytest.raises(PackageError, match="w is damaged"):
        map_weights(tmp_path / "w")
