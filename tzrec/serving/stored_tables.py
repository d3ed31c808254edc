"""Tables as a package stores them: rows of FP32 or FP16 numbers, or of whole numbers with a scale and a bias."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torchrec import EmbeddingBagCollection, EmbeddingCollection

from tzrec.embedding.group import EmbeddingGroup
from tzrec.errors import PackageError
from tzrec.models.base import RecModel
from tzrec.protos.export_pb2 import ExportConfig
from tzrec.tables.layout import SEQUENCE_PREFIX

_BITS = {"FP32": 32, "FP16": 16, "INT8": 8, "INT4": 4}
"""Bits of a value, by type."""
SPARSE_TYPE = {"FP32": 0, "FP16": 1, "INT8": 2, "INT4": 3}
"""fbgemm's SparseType, by type."""
_HEAD_BYTES = 4
"""Bytes of the scale and the bias of a row, FP16 each, which come first."""
_CHUNK = 1 << 16
"""Rows that are quantized at a time."""
_LARGEST = 65504.0
"""Largest FP16 number."""


@dataclass(frozen=True)
class TablePlace:
    """Place of a table in the bytes of all tables.

    Attributes:
        offset: of its first byte.
        data_type: of its values, "FP32", "FP16", "INT8" or "INT4".
    """

    offset: int
    data_type: str


@dataclass(frozen=True)
class StoredTables:
    """Tables in the order in which they are stored.

    Attributes:
        rows: by name; `(rows, dim)`, float32 or float16, or `(rows, bytes)`, uint8, see `quantize`.
        data_types: "FP32", "FP16", "INT8" or "INT4", by name.
    """

    rows: dict[str, Tensor]
    data_types: dict[str, str]

    @property
    def places(self) -> dict[str, TablePlace]:
        """Place of each table in `flat()`."""
        ends = accumulate(table.nbytes for table in self.rows.values())
        return {
            name: TablePlace(end - table.nbytes, self.data_types[name])
            for (name, table), end in zip(self.rows.items(), ends, strict=True)
        }

    def flat(self) -> Tensor:
        """Concatenate the tables as bytes, `(total,)` uint8."""
        bytes_by_table = [table.reshape(-1).view(torch.uint8) for table in self.rows.values()]
        return torch.cat(bytes_by_table) if bytes_by_table else torch.empty(0, dtype=torch.uint8)


def group_of(model: RecModel) -> EmbeddingGroup:
    """The EmbeddingGroup of a model that is served: one with several is served in parts."""
    assert isinstance(model.embedding_group, EmbeddingGroup)
    return model.embedding_group


def stored_tables(model: RecModel, config: ExportConfig | None = None) -> StoredTables:
    """The tables of an unsharded model, those with wider values first.

    Args:
        model: has one EmbeddingGroup.
        config: with the types of the tables; None for those in which they are trained.

    Raises:
        PackageError: a value is too large for the type.
    """
    config = config or ExportConfig()
    embedding_group = group_of(model)
    tables = embedding_group.layout.all_tables
    weights = _weights(embedding_group)
    types = {}
    for name, weight in weights.items():
        configured = config.sequence_data_type if name.startswith(SEQUENCE_PREFIX) else config.bag_data_type
        types[name] = narrower_type(tables[name].table.data_type, configured, weight.shape[1])
    order = sorted(weights, key=lambda name: -_BITS[types[name]])
    return StoredTables(
        {name: _stored(name, weights[name], types[name]) for name in order}, {name: types[name] for name in order}
    )


def is_narrowed(config: ExportConfig) -> bool:
    """True if a package stores tables in a narrower type than that of their training."""
    return {config.bag_data_type, config.sequence_data_type} != {"FP32"}


def narrower_type(trained: str, configured: str, dim: int) -> str:
    """The type to store a table in: the narrower of two, but INT8 in place of INT4 for an odd number of columns,
    because two values share a byte."""
    narrower = min(trained, configured, key=lambda name: _BITS[name])
    return "INT8" if narrower == "INT4" and dim % 2 else narrower


def _weights(embedding_group: EmbeddingGroup) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for module in embedding_group.modules():
        if isinstance(module, EmbeddingBagCollection):
            weights |= {name: table.get_parameter("weight").detach() for name, table in module.embedding_bags.items()}
        elif isinstance(module, EmbeddingCollection):
            tables = module.embeddings.items()
            weights |= {f"{SEQUENCE_PREFIX}{name}": table.get_parameter("weight").detach() for name, table in tables}
    return weights


def _stored(name: str, weight: Tensor, data_type: str) -> Tensor:
    if data_type == "FP32":
        return weight.float()
    largest = weight.abs().max().item() if weight.numel() else 0.0
    if not largest <= _LARGEST:
        raise PackageError(
            f'table "{name}" has a value {largest:g}, and {data_type} rows hold values up to {_LARGEST:g}; '
            "set export_config.bag_data_type and sequence_data_type to FP32"
        )
    return weight.half() if data_type == "FP16" else quantize(weight, _BITS[data_type])


def quantize(weight: Tensor, bits: int) -> Tensor:
    """Round each row to whole numbers between its least and its greatest value.

    A value is `bias + number * scale`. A row begins with its scale and its bias, FP16 each; then come the numbers, a
    byte for each, or for 4 bits two in a byte, the first one in the lower half. fbgemm's inference lookup reads this.

    Args:
        weight: `(rows, dim)`; `dim` is even for 4 bits.
        bits: 8 or 4.

    Returns:
        `(rows, 4 + dim * bits / 8)` uint8.
    """
    packed = torch.empty(weight.shape[0], _HEAD_BYTES + weight.shape[1] * bits // 8, dtype=torch.uint8)
    for first in range(0, weight.shape[0], _CHUNK):
        packed[first : first + _CHUNK] = _quantize_rows(weight[first : first + _CHUNK].float(), bits)
    return packed


def _quantize_rows(rows: Tensor, bits: int) -> Tensor:
    num_steps = (1 << bits) - 1
    least, greatest = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)  # (rows, 1)
    bias = _rounded(least, -torch.inf)
    scale = _rounded((greatest - bias) / num_steps, torch.inf)
    # 0 for a row of equal values: all of its numbers count nothing
    numbers = ((rows - bias) / scale.where(scale != 0, 1.0)).round().clamp(0, num_steps).to(torch.uint8)
    if bits == 4:
        numbers = numbers[:, 0::2] | (numbers[:, 1::2] << 4)
    return torch.cat([torch.cat([scale, bias], 1).half().view(torch.uint8), numbers], 1)


def _rounded(x: Tensor, limit: float) -> Tensor:
    """Round to FP16 numbers towards a limit, so that the steps of a row cover all of its values."""
    near = x.half()
    is_beyond = near.float() < x if limit > 0 else near.float() > x
    return torch.where(is_beyond, torch.nextafter(near, torch.full_like(near, limit)), near).float()
