"""Which rank holds which piece of which table.

On CPU the plan is made here, by rules that give the same answer on every rank; torchrec's planner knows no row-wise
bags on CPU and its cost model is one of GPUs. With CUDA the planner decides, within the constraints of the config.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torchrec import EmbeddingBagCollection
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner import ParameterConstraints as PlannerConstraints
from torchrec.distributed.sharding_plan import column_wise, data_parallel, row_wise, table_wise
from torchrec.distributed.types import (
    EmbeddingModuleShardingPlan,
    ModuleSharder,
    ParameterSharding,
    ShardingPlan,
)

from tzrec import env
from tzrec.embedding.group import EmbeddingGroup
from tzrec.embedding.layout import Bag
from tzrec.errors import ConfigError, Problem
from tzrec.optim.sparse import fuses, kind
from tzrec.protos.train_pb2 import TrainConfig

HERE = {"table_row_wise": "row_wise", "grid_shard": "row_wise", "table_column_wise": "column_wise"}
"""What sharding types that tell hosts from ranks come to on CPU, where all ranks are alike."""

TYPES = ("table_wise", "row_wise", "column_wise", "data_parallel")
"""In the order in which they are taken where a config allows several."""

LARGE = 256 << 20
"""Bytes from which a table that is more than one rank's share of all tables is spread over the ranks."""


@dataclass(frozen=True)
class Collection:
    """One unsharded collection of a model, and the tables in it."""

    path: str
    module: EmbeddingBagCollection
    bags: Mapping[str, Bag]

    @property
    def members(self) -> list[Bag]:
        return [self.bags[config.name] for config in self.module.embedding_bag_configs()]


def collections(model: nn.Module) -> Iterator[Collection]:
    """All unsharded collections of a model, in a fixed order."""
    for prefix, group in model.named_modules():
        if isinstance(group, EmbeddingGroup):
            for path, module in group.named_modules(prefix=prefix):
                if isinstance(module, EmbeddingBagCollection):
                    yield Collection(path, module, group.layout.bags)


def make_plan(
    model: nn.Module, config: TrainConfig, device: torch.device, sharder: ModuleSharder[Any], saved: Plan | None = None
) -> ShardingPlan:
    """Plan the tables of a model over the ranks of the process group.

    Args:
        model: unsharded.
        config: for the sparse optimizer, which kernels depend on, and `global_embedding_constraints`.
        device: of this rank.
        sharder: that will carry the plan out.
        saved: a plan to keep to where it says something and fits the number of ranks; see `plan_json`.

    Raises:
        ConfigError: constraints that name an unknown sharding type or one that cannot be had, or tables whose width
            is no multiple of 4.
    """
    found = list(collections(model))
    problems = [problem for each in found for bag in each.members for problem in _unfit(bag, config)]
    if problems:
        raise ConfigError(problems)
    if device.type == "cuda":
        return _planned(model, found, config, sharder)
    return _by_rule(found, config, device, sharder, saved or {})


def _unfit(bag: Bag, config: TrainConfig) -> Iterator[Problem]:
    """What keeps a table from being sharded as the config asks."""
    table, allowed = bag.table, _allowed(bag, config)
    if table.dim % 4:
        yield Problem("embedding_dim", f'table "{table.name}" has {table.dim}; the kernels need a multiple of 4')
    for name in allowed:
        if name not in TYPES and name not in HERE:
            yield Problem(
                "embedding_constraints.sharding_types",
                f'table "{table.name}": unknown sharding type "{name}"; use {", ".join((*TYPES, *HERE))}',
            )
    if kind(config.sparse_optimizer) == "rowwise_adagrad_optimizer" and {HERE.get(t, t) for t in allowed} == {"column_wise"}:
        yield Problem(
            "embedding_constraints.sharding_types",
            f'table "{table.name}" is column_wise, where row-wise Adagrad would keep one value per row and shard and '
            "learn something else than on one rank; add table_wise or row_wise, or use adagrad_optimizer",
        )


def _allowed(bag: Bag, config: TrainConfig) -> tuple[str, ...]:
    """Sharding types the config allows for a table, those of the table before those of all tables; empty: any."""
    return bag.table.sharding_types or tuple(config.global_embedding_constraints.sharding_types)


def _planned(
    model: nn.Module, found: Sequence[Collection], config: TrainConfig, sharder: ModuleSharder[Any]
) -> ShardingPlan:
    """The plan of torchrec's planner."""
    common = config.global_embedding_constraints
    constraints = {
        bag.table.name: PlannerConstraints(
            sharding_types=list(_allowed(bag, config)) or None,
            compute_kernels=list(bag.table.compute_kernels or common.compute_kernels) or None,
        )
        for each in found
        for bag in each.members
    }
    topology = Topology(dist.get_world_size(), "cuda", local_world_size=env.place().local_world_size)
    planner = EmbeddingShardingPlanner(topology=topology, constraints=constraints)
    return planner.collective_plan(model, [sharder], dist.group.WORLD)


Plan = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Per collection and table: `sharding_type`, `compute_kernel`, `ranks`; what a checkpoint's `plan` file holds."""


def _by_rule(
    found: Sequence[Collection], config: TrainConfig, device: torch.device, sharder: ModuleSharder[Any], saved: Plan
) -> ShardingPlan:
    world = dist.get_world_size()
    share = sum(_bytes(bag) for each in found for bag in each.members) / world
    types = {(each.path, bag.table.name): _type(each.path, bag, config, share, saved) for each in found for bag in each.members}
    ranks = _spread([(key, bag) for each in found for bag in each.members if types[key := (each.path, bag.table.name)] == "table_wise"], world)
    fused = fuses(config.sparse_optimizer, device)
    plan: dict[str, EmbeddingModuleShardingPlan] = {}
    for each in found:
        params = sharder.shardable_parameters(each.module)
        plan[each.path] = EmbeddingModuleShardingPlan()
        for bag in each.members:
            key = (each.path, bag.table.name)
            wants_dense = "dense" in (bag.table.compute_kernels or config.global_embedding_constraints.compute_kernels)
            kernel = "fused" if not bag.table.trainable or (fused and not wants_dense) else "dense"
            generator = _generator(types[key], kernel, ranks.get(key, 0), bag.table.dim, world)
            local = env.place().local_world_size
            plan[each.path][bag.table.name] = generator(params[bag.table.name], local, world, device.type, sharder)
    return ShardingPlan(plan)  # type: ignore[arg-type]


def _type(path: str, bag: Bag, config: TrainConfig, share: float, saved: Plan) -> str:
    """Sharding type of one table on CPU."""
    if dist.get_world_size() == 1 or not bag.table.trainable:
        return "table_wise"  # on one rank all types are this one; frozen tables have nothing for ranks to average
    allowed = {HERE.get(name, name) for name in _allowed(bag, config)}
    kept = saved.get(path, {}).get(bag.table.name, {}).get("sharding_type")
    if kept in (allowed or TYPES):
        return str(kept)
    if not allowed:
        return "row_wise" if _bytes(bag) > max(share, LARGE) else "table_wise"
    if kind(config.sparse_optimizer) == "rowwise_adagrad_optimizer":
        allowed.discard("column_wise")
    return next(name for name in TYPES if name in allowed)


def _generator(sharding_type: str, kernel: str, rank: int, dim: int, world: int) -> Any:
    if sharding_type == "row_wise":
        return row_wise(compute_kernel=kernel)
    if sharding_type == "data_parallel":
        return data_parallel()
    if sharding_type == "column_wise":
        shards = max(n for n in range(1, world + 1) if dim % (4 * n) == 0)
        return column_wise(ranks=list(range(shards)), compute_kernel=kernel)
    return table_wise(rank=rank, compute_kernel=kernel)


def _spread(tables: Sequence[tuple[tuple[str, str], Bag]], world: int) -> dict[tuple[str, str], int]:
    """Whole tables to ranks, in runs of equal work, so that the ranks' outputs side by side are in listed order."""
    loads = [bag.table.dim * len(bag.features) for _, bag in tables]
    ranks, before = {}, 0
    for (key, _), load in zip(tables, loads, strict=True):
        ranks[key] = int((before + load / 2) * world / sum(loads))
        before += load
    return ranks


def _bytes(bag: Bag) -> int:
    return bag.table.rows * bag.table.dim * (2 if bag.table.data_type == "FP16" else 4)


def plan_json(plan: ShardingPlan) -> dict[str, dict[str, dict[str, Any]]]:
    """A plan as a checkpoint keeps it."""
    return {path: {table: _facts(each) for table, each in tables.items()} for path, tables in plan.plan.items()}  # type: ignore[attr-defined]


def _facts(each: ParameterSharding) -> dict[str, Any]:
    return {"sharding_type": each.sharding_type, "compute_kernel": each.compute_kernel, "ranks": each.ranks}


@dataclass(frozen=True)
class PlanRow:
    """One table as a run prints it; bytes are those of the whole table."""

    table: str
    rows: int
    dim: int
    dtype: str
    sharding: str
    kernel: str
    optimizer: str
    bytes: int
    ranks: tuple[int, ...]


def plan_rows(model: nn.Module, plan: ShardingPlan, config: TrainConfig) -> list[PlanRow]:
    """The plan of a model, one row per table; `model` sharded or not, without wrappers."""
    optimizer = kind(config.sparse_optimizer).removesuffix("_optimizer")
    rows = []
    for prefix, group in model.named_modules():
        if isinstance(group, EmbeddingGroup):
            for path, tables in plan.plan.items():
                if path.startswith(f"{prefix}."):
                    rows += [_row(group.layout.bags[name], each, optimizer) for name, each in tables.items()]  # type: ignore[attr-defined]
    return rows


def _row(bag: Bag, each: ParameterSharding, optimizer: str) -> PlanRow:
    table = bag.table
    return PlanRow(
        table=table.name,
        rows=table.rows,
        dim=table.dim,
        dtype=table.data_type.lower(),
        sharding=each.sharding_type,
        kernel=each.compute_kernel,
        optimizer=optimizer if table.trainable else "frozen",
        bytes=_bytes(bag),
        ranks=tuple(dict.fromkeys(each.ranks or ())),
    )


def render(rows: Sequence[PlanRow]) -> str:
    """The rows as an aligned text table with a head."""
    head = ("table", "rows", "dim", "dtype", "sharding", "kernel", "optimizer", "bytes", "ranks")
    right = {"rows", "dim", "bytes"}
    cells = [head] + [
        (r.table, f"{r.rows:,}", str(r.dim), r.dtype, r.sharding, r.kernel, r.optimizer, size(r.bytes), ",".join(map(str, r.ranks)))
        for r in rows
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(w) if name in right else cell.ljust(w) for name, cell, w in zip(head, row, widths, strict=True)).rstrip()
        for row in cells
    )


def size(count: float) -> str:
    """Bytes for people: 73 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
