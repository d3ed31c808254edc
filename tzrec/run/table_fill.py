"""Rows of embedding tables that training has updated, by the state of their optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tzrec.distributed import group
from tzrec.features.arrays import BoolArray, Int64Array
from tzrec.tables.sparse_optimizer import SparseOptimizer

_MAX_ROWS = 1_000_000


@dataclass(frozen=True)
class ShardState:
    """Optimizer state of the rows of a table that this rank holds.

    Attributes:
        table: full name of the table.
        first_row: number of the first one.
        states: tensors `(rows,)` or `(rows, dim)`, each with the value that it starts with.
    """

    table: str
    first_row: int
    states: list[tuple[Tensor, float]]

    @property
    def num_rows(self) -> int:
        return len(self.states[0][0])

    def is_updated(self, rows: slice | Tensor) -> Tensor:
        """Rows that differ from their start, `(R,)`."""
        parts = [state[rows] != start for state, start in self.states]
        return torch.stack([part if part.dim() == 1 else part.any(1) for part in parts]).any(0).cpu()


def shard_states(optimizer: SparseOptimizer) -> Iterator[ShardState]:
    """Yield the state of all shards of this rank; an optimizer without state, such as SGD, has none."""
    for table, first_row, states, start in optimizer.row_states():
        num_rows = max((len(state) for state in states.values() if state.dim()), default=0)
        kept = [
            (state, start if key == "momentum1" else 0.0)
            for key, state in states.items()
            if state.dim() and len(state) == num_rows
        ]
        if num_rows:
            yield ShardState(table, first_row, kept)


def table_fill(optimizer: SparseOptimizer) -> dict[str, dict[str, Any]]:
    """Estimate the share of updated rows of each table, from at most a million of its rows; all ranks together.

    For ids that a hash spreads it is also the share of the ids that share their row: n ids in m rows fill a share
    1 - exp(-n / m), and an id is alone with probability exp(-n / m).
    """
    totals: dict[str, list[float]] = {}
    for shard_counts in group.gather(group.together(lambda: _own_fill(optimizer))):
        for name, (updated_rows, num_rows) in shard_counts.items():
            total = totals.setdefault(name, [0.0, 0.0])
            total[0] += updated_rows
            total[1] += num_rows
    return {name: {"filled": filled / num_rows} for name, (filled, num_rows) in totals.items()}


def _own_fill(optimizer: SparseOptimizer) -> dict[str, list[float]]:
    """Updated rows and all rows of the shards of this rank, by table."""
    counts: dict[str, list[float]] = {}
    for shard in shard_states(optimizer):
        updated = shard.is_updated(slice(None, None, -(-shard.num_rows // _MAX_ROWS)))
        total = counts.setdefault(shard.table, [0.0, 0.0])
        total[0] += float(updated.double().mean()) * shard.num_rows
        total[1] += shard.num_rows
    return counts


def are_known(optimizer: SparseOptimizer, ids_by_table: Mapping[str, Int64Array]) -> dict[str, BoolArray]:
    """Find the ids whose rows were updated in training, by table; all ranks pass the same ids.

    Tables of an optimizer without state are left out.
    """
    results: dict[str, BoolArray] = {}
    for flags_by_table in group.gather_states(group.together(lambda: _own_known(optimizer, ids_by_table))):
        for name, flags in flags_by_table.items():
            results[name] = results.get(name, np.zeros(len(flags), bool)) | flags.numpy()
    return results


def _own_known(optimizer: SparseOptimizer, ids_by_table: Mapping[str, Int64Array]) -> dict[str, Tensor]:
    """Flags of the ids whose rows were updated on this rank, by table."""
    known: dict[str, Tensor] = {}
    for shard in shard_states(optimizer):
        if shard.table in ids_by_table:
            ids = ids_by_table[shard.table]
            at = ids - shard.first_row
            is_here = (at >= 0) & (at < shard.num_rows)
            flags = known.setdefault(shard.table, torch.zeros(len(ids), dtype=torch.bool))
            flags[torch.from_numpy(is_here)] |= shard.is_updated(torch.from_numpy(at[is_here]))
    return known
