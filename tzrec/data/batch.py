"""Batch: tensors of some rows of the data, as the loader passes them to the model; Cursor: position in the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias

import pyarrow as pa
import torch
from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor
from torchrec.streamable import Pipelineable

from tzrec.features.base import BASE as BASE
from tzrec.features.base import CNEG as CNEG
from tzrec.features.base import NEG as NEG

Label: TypeAlias = torch.Tensor | JaggedTensor
"""One label per row `(B,)`, a list of labels per row `(B, C)`, or jagged: one label per candidate of each row."""


@dataclass(frozen=True)
class Cursor:
    """Position in the data that does not depend on the number of ranks or threads.

    Rows are numbered over all files in sorted order; shuffling permutes them inside windows of `window` rows with a
    generator seeded by (seed, epoch, window index), so (epoch, row) determines the rows that have been consumed.

    Attributes:
        epoch: number of complete epochs.
        row: number of rows of this epoch that all ranks together have consumed, in shuffled order.
        window: rows of a shuffle window, 1 without shuffling.
    """

    epoch: int = 0
    row: int = 0
    window: int = 1


@dataclass(frozen=True)
class Batch(Pipelineable):
    """Rows of one rank for one step.

    Features belong to data groups, each with its own number of rows B: BASE has one row per sample, NEG and CNEG also
    have rows of sampled negatives.

    Attributes:
        rows: number of samples. 0 on a rank that has none left while others do: the batch then repeats one row, which
            counts neither for training nor for metrics.
        dense: per data group, dense features `(B, sum of dims)`.
        sparse: per data group, ids of all sparse features, keys in config order.
        sequences: per data group, ids of all sparse sequence features: for each row the ids of its elements, one
            element after the other.
        element_sizes: per sparse sequence feature, number of ids of each element: values int32 `(S,)`, lengths the
            number of elements of each row. A feature that is not in it has one id in each element.
        element_values: per dense sequence feature, values float32 `(S, dim)`, lengths the number of elements of each
            row.
        labels: per label column int64 or float32; see `Label`.
        weights: per sample weight column `(B,)` float32.
        reserved: columns of the input that are copied to the output, one row per row of the batch.
        cursor: position in the data after this batch.
        rows_by_data_group: number of rows of each data group other than BASE.
    """

    rows: int
    dense: dict[str, KeyedTensor] = field(default_factory=dict)
    sparse: dict[str, KeyedJaggedTensor] = field(default_factory=dict)
    sequences: dict[str, KeyedJaggedTensor] = field(default_factory=dict)
    element_sizes: dict[str, JaggedTensor] = field(default_factory=dict)
    element_values: dict[str, JaggedTensor] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    reserved: pa.Table | None = None
    cursor: Cursor = Cursor()
    rows_by_data_group: dict[str, int] = field(default_factory=dict)

    def num_rows(self, data_group: str = BASE) -> int:
        """Number of rows of a data group."""
        return self.rows if data_group == BASE else self.rows_by_data_group[data_group]

    def label(self, name: str) -> torch.Tensor:
        """Label column with the same number of labels in each row."""
        label = self.labels[name]
        assert isinstance(label, torch.Tensor), f'label "{name}" is jagged'
        return label

    def first_ids(self, feature: str) -> torch.Tensor:
        """First id of each row of a sparse feature of the base data group, int64 `(B,)`; -1 where it has none."""
        jagged = self.sparse[BASE][feature]
        is_present = jagged.lengths() > 0  # (B,)
        ids = torch.full_like(is_present, -1, dtype=torch.int64)
        ids[is_present] = jagged.values()[jagged.offsets()[:-1][is_present]]
        return ids

    def map(self, fn: Callable[[Any], Any]) -> Batch:
        """Apply `fn` to every tensor, KeyedTensor, KeyedJaggedTensor and JaggedTensor."""
        changed: dict[str, Any] = {}
        for name in (entry.name for entry in fields(self)):
            value = getattr(self, name)
            if isinstance(value, dict) and name != "rows_by_data_group":
                changed[name] = {key: fn(item) for key, item in value.items()}
        return replace(self, **changed)

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        return self.map(lambda value: value.to(device=device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        return self.map(lambda value: value.pin_memory())

    def record_stream(self, stream: torch.Stream) -> None:
        self.map(lambda value: value.record_stream(stream))
