"""All tensors of a package in one safetensors file: a JSON header, then raw numbers.

The file is mapped, not read: opening takes no time, processes that serve the same package share the memory, and
tables that are adjacent in the file can be viewed as one flat tensor.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tzrec.errors import PackageError

_NAMES = {
    torch.float64: "F64",
    torch.int64: "I64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.bool: "BOOL",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}
_ALIGN = 64
"""Alignment of the first tensor in bytes; the others are aligned where wider types come first."""


def write_weights(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors in the given order, without gaps; wider types come first, so that all of them are aligned."""
    header, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGN)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            stream.write(_bytes(tensor).numpy().data)


@dataclass(frozen=True)
class Weights:
    """A mapped file.

    Attributes:
        data: all of its numbers as bytes.
        tensors: views of `data` by name.
        spans: start and end of each tensor in `data`.
    """

    data: torch.Tensor
    tensors: dict[str, torch.Tensor]
    spans: dict[str, tuple[int, int]]

    def flat(self, names: Sequence[str]) -> torch.Tensor:
        """View adjacent tensors as one uint8 tensor; empty for none."""
        if not names:
            return self.data[:0]
        return self.data[self.spans[names[0]][0] : self.spans[names[-1]][1]]


def map_weights(path: Path) -> Weights:
    """Map a file of `write_weights` or of another safetensors writer.

    Raises:
        PackageError: the header is damaged or does not match the size of the file.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > size:
                raise ValueError(f"header of {length} bytes in a file of {size}")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        data = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)[8 + length :]
        spans = {name: (entry["data_offsets"][0], entry["data_offsets"][1]) for name, entry in header.items()}
        tensors = {
            name: data[slice(*spans[name])].view(_DTYPES[entry["dtype"]]).view(entry["shape"])
            for name, entry in header.items()
        }
    except (ValueError, LookupError, TypeError, AttributeError, struct.error, RuntimeError) as error:
        raise PackageError(f"{path} is damaged: {error}") from None
    return Weights(data, tensors, spans)


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().view(-1).view(torch.uint8)
