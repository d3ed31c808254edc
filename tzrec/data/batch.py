"""Batch: what travels from the loader to the model; and Cursor: where in the data it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pyarrow as pa
import torch
from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor
from torchrec.streamable import Pipelineable

BASE = "__BASE__"
"""The data group of everything that has one row per sample."""


@dataclass(frozen=True)
class Cursor:
    """A place in the data that does not depend on the number of ranks or threads.

    Rows are numbered over all files in sorted order; shuffling permutes them inside windows of `window` rows
    with a generator seeded by (seed, epoch, window index), so (epoch, row) says exactly what has been consumed.

    Attributes:
        epoch: passes over the data that are complete.
        row: rows of this pass that all ranks together have consumed, in shuffled order.
        window: rows of a shuffle window, 1 without shuffling.
    """

    epoch: int = 0
    row: int = 0
    window: int = 1


@dataclass(frozen=True)
class Batch(Pipelineable):
    """One rank's share of one step.

    Attributes:
        rows: rows that count. 0 where this rank has none left while others do: the batch then repeats one row,
            which must neither be scored nor learned from.
        dense: per data group, dense features `(B, sum of dims)`.
        sparse: per data group, ids of all sparse features, keys in config order.
        sequences: per data group, ids of all sparse sequence features: those of a row are the ids of its steps, one
            step after the other.
        element_sizes: per sparse sequence feature, ids in each step: values int32 `(S,)`, lengths the steps of each row.
            A feature that is not in it has one id in each step.
        element_values: per dense sequence feature, values float32 `(S, dim)`, lengths the steps of each row.
        labels: per label column `(B,)` int64 or float32, or a list of labels `(B, C)`.
        weights: per sample weight column `(B,)` float32.
        kept: columns of the input to hand through to the output, one row per row of the batch.
        cursor: what has been consumed once this batch is.
    """

    rows: int
    dense: dict[str, KeyedTensor] = field(default_factory=dict)
    sparse: dict[str, KeyedJaggedTensor] = field(default_factory=dict)
    sequences: dict[str, KeyedJaggedTensor] = field(default_factory=dict)
    element_sizes: dict[str, JaggedTensor] = field(default_factory=dict)
    element_values: dict[str, JaggedTensor] = field(default_factory=dict)
    labels: dict[str, torch.Tensor] = field(default_factory=dict)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    kept: pa.Table | None = None
    cursor: Cursor = Cursor()

    def first_ids(self, feature: str) -> torch.Tensor:
        """The first id of each row of a sparse feature of the base data group, int64 `(B,)`; -1 where it has none."""
        jagged = self.sparse[BASE][feature]
        some = jagged.lengths() > 0  # (B,)
        ids = torch.full_like(some, -1, dtype=torch.int64)
        ids[some] = jagged.values()[jagged.offsets()[:-1][some]]
        return ids

    def map(self, fn: Callable[[Any], Any]) -> Batch:
        """A batch with `fn` applied to every tensor-like value."""
        changed: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, dict):
                changed[each.name] = {key: fn(item) for key, item in value.items()}
        return replace(self, **changed)

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        return self.map(lambda value: value.to(device=device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        return self.map(lambda value: value.pin_memory())

    def record_stream(self, stream: torch.Stream) -> None:
        self.map(lambda value: value.record_stream(stream))
