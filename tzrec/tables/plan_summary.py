"""Sharding plan as text for the log and as JSON for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from torch import nn
from torchrec.distributed.types import ParameterSharding, ShardingPlan

from tzrec.config.options import value_bytes
from tzrec.features.base import Table
from tzrec.formatting import format_bytes, format_columns
from tzrec.protos.train_pb2 import TrainConfig
from tzrec.tables.owner import TableOwner
from tzrec.tables.shared_table import SharedTable
from tzrec.tables.sparse_optimizer import kind

SavedPlan = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""`sharding_type`, `compute_kernel` and `ranks` by collection and table: the file `plan` of a checkpoint, as JSON."""


def plan_json(plan: ShardingPlan) -> dict[str, dict[str, dict[str, Any]]]:
    """Plan in the form that a checkpoint stores."""
    return {
        path: {table: _sharding_json(sharding) for table, sharding in shardings.items()}
        for path, shardings in _items(plan)
    }


def _items(plan: ShardingPlan) -> list[tuple[str, Mapping[str, ParameterSharding]]]:
    return list(plan.plan.items())  # type: ignore[arg-type]


def _sharding_json(sharding: ParameterSharding) -> dict[str, Any]:
    return {
        "sharding_type": sharding.sharding_type,
        "compute_kernel": sharding.compute_kernel,
        "ranks": sharding.ranks,
    }


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
        """Values as text, in the order of the fields."""
        texts = {"rows": f"{self.rows:,}", "bytes": format_bytes(self.bytes), "ranks": ",".join(map(str, self.ranks))}
        return [texts.get(field.name, str(value)) for field, value in zip(fields(self), astuple(self), strict=True)]


def plan_rows(model: nn.Module, plan: ShardingPlan, config: TrainConfig) -> list[PlanRow]:
    """Plan of a model, one row per table; `model` without its wrappers, sharded or not."""
    optimizer = kind(config.sparse_optimizer).removesuffix("_optimizer")
    return [
        _row(tables[name], sharding, optimizer)
        for prefix, owner in model.named_modules()
        if isinstance(owner, TableOwner)
        for path, shardings in _items(plan)
        if path.startswith(f"{prefix}.")
        for tables in [owner.tables_at(path.removeprefix(f"{prefix}."))]
        for name, sharding in shardings.items()
    ]


def _row(shared: SharedTable, sharding: ParameterSharding, optimizer: str) -> PlanRow:
    table = shared.table
    return PlanRow(
        table=shared.full_name,
        rows=table.rows,
        dim=table.dim,
        dtype=table.data_type.lower(),
        sharding=sharding.sharding_type,
        kernel=sharding.compute_kernel,
        optimizer=optimizer if table.trainable else "frozen",
        bytes=table_bytes(table),
        ranks=tuple(dict.fromkeys(sharding.ranks or ())),
    )


def render(rows: Sequence[PlanRow]) -> str:
    """Format the rows as a text table with a header; numbers are aligned to the right."""
    header = [field.name for field in fields(PlanRow)]
    right = [index for index, name in enumerate(header) if name in ("rows", "dim", "bytes")]
    return format_columns([header, *(row.cells() for row in rows)], right)


def table_bytes(table: Table) -> int:
    """Size of a whole table, without optimizer state."""
    return table.rows * table.dim * value_bytes(table.data_type)
