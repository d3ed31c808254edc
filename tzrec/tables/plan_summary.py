"""A plan as a run prints it and as a checkpoint keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from torch import nn
from torchrec.distributed.types import ParameterSharding, ShardingPlan

from tzrec.embedding.group import EmbeddingGroup
from tzrec.features.base import Table
from tzrec.formatting import format_bytes
from tzrec.protos.train_pb2 import TrainConfig
from tzrec.tables.layout import SEQUENCE_PREFIX
from tzrec.tables.sparse_optimizer import kind

SavedPlan = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Per collection and table: `sharding_type`, `compute_kernel`, `ranks`; a checkpoint's file `plan`, as JSON."""


def plan_json(plan: ShardingPlan) -> dict[str, dict[str, dict[str, Any]]]:
    """A plan as a checkpoint keeps it."""
    return {path: {table: _facts(each) for table, each in tables.items()} for path, tables in _items(plan)}


def _items(plan: ShardingPlan) -> list[tuple[str, Mapping[str, ParameterSharding]]]:
    return list(plan.plan.items())  # type: ignore[arg-type]


def _facts(each: ParameterSharding) -> dict[str, Any]:
    return {"sharding_type": each.sharding_type, "compute_kernel": each.compute_kernel, "ranks": each.ranks}


@dataclass(frozen=True)
class PlanRow:
    """One table of a plan."""

    table: str
    rows: int
    dim: int
    dtype: str
    sharding: str
    kernel: str
    optimizer: str
    bytes: int
    ranks: tuple[int, ...]

    def cells(self) -> list[str]:
        """As text, in the order of the fields."""
        texts = {"rows": f"{self.rows:,}", "bytes": format_bytes(self.bytes), "ranks": ",".join(map(str, self.ranks))}
        return [texts.get(each.name, str(value)) for each, value in zip(fields(self), astuple(self), strict=True)]


def plan_rows(model: nn.Module, plan: ShardingPlan, config: TrainConfig) -> list[PlanRow]:
    """The plan of a model, one row per table; `model` without its wrappers, sharded or not."""
    optimizer = kind(config.sparse_optimizer).removesuffix("_optimizer")
    return [
        _row(shown, group.layout.tables[shown].table, each, optimizer)
        for prefix, group in model.named_modules()
        if isinstance(group, EmbeddingGroup)
        for path, tables in _items(plan)
        if path.startswith(f"{prefix}.")
        for shown, each in _shown(group, path.removeprefix(f"{prefix}."), tables)
    ]


def _shown(group: EmbeddingGroup, path: str, tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The tables of a collection under the names that tell those of sequences from others."""
    stepped = group.tables_at(path) is group.layout.sequence_tables
    return ((f"{SEQUENCE_PREFIX}{name}" if stepped else name, each) for name, each in tables.items())


def _row(shown: str, table: Table, each: ParameterSharding, optimizer: str) -> PlanRow:
    return PlanRow(
        table=shown,
        rows=table.rows,
        dim=table.dim,
        dtype=table.data_type.lower(),
        sharding=each.sharding_type,
        kernel=each.compute_kernel,
        optimizer=optimizer if table.trainable else "frozen",
        bytes=table_bytes(table),
        ranks=tuple(dict.fromkeys(each.ranks or ())),
    )


def render(rows: Sequence[PlanRow]) -> str:
    """The rows as an aligned text table with a head; numbers stand at the right."""
    head = [each.name for each in fields(PlanRow)]
    lines = [head, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(_aligned, head, line, widths)).rstrip() for line in lines)


def _aligned(name: str, cell: str, width: int) -> str:
    return cell.rjust(width) if name in ("rows", "dim", "bytes") else cell.ljust(width)


def table_bytes(table: Table) -> int:
    """Size of a whole table, without optimizer state."""
    return table.rows * table.dim * (2 if table.data_type == "FP16" else 4)
