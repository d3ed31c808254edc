"""Which rank holds which piece of which table.

On CPU the placement is made here, by rules that give the same answer on every rank: torchrec's planner knows no
row-wise bags on CPU, and its costs are those of GPUs. With CUDA the planner decides, within the config's constraints.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingCollection, EmbeddingConfig
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints, Topology
from torchrec.distributed.sharding_plan import column_wise, data_parallel, row_wise, table_wise
from torchrec.distributed.types import EmbeddingModuleShardingPlan, ModuleSharder, ParameterSharding, ShardingPlan

from tzrec import env
from tzrec.config.options import table_optimizer
from tzrec.config.schema import descriptor_of
from tzrec.embedding.group import EmbeddingGroup
from tzrec.errors import ConfigError, Problem
from tzrec.protos.train_pb2 import TrainConfig
from tzrec.tables.plan_summary import SavedPlan, table_bytes
from tzrec.tables.shared_table import SharedTable
from tzrec.tables.sparse_optimizer import fuses, kind

TYPES = ("table_wise", "row_wise", "column_wise", "data_parallel")
"""Sharding types on CPU, in the order in which they are taken where a config allows several."""

HOSTS = {"table_row_wise": "row_wise", "grid_shard": "row_wise", "table_column_wise": "column_wise"}
"""What the types that tell hosts from ranks come to on CPU, where all ranks are alike."""

SMALL = 1000
"""Rows up to which a table is replicated. Averaging the gradient of so few rows moves less than exchanging the vectors
of a batch does: with 7 of 15 tables replicated, two ranks with 8192 rows each took 36 ms instead of 46 for one step."""

LARGE = 256 << 20
"""Bytes from which a table that is more than one rank's share of all tables is cut by rows, to spread the memory."""


@dataclass(frozen=True)
class Collection:
    """One unsharded collection of a model and its tables."""

    path: str
    module: EmbeddingBagCollection | EmbeddingCollection
    bags: tuple[SharedTable, ...]

    @property
    def pools(self) -> bool:
        """Whether it yields a vector per row; otherwise one per id."""
        return isinstance(self.module, EmbeddingBagCollection)

    def weight(self, table: str) -> nn.Parameter:
        """The values of a table."""
        inner = self.module.embedding_bags if self.pools else self.module.embeddings
        return inner[table].weight  # type: ignore[index,union-attr,return-value]


Sharders = Sequence[ModuleSharder[Any]]
"""What carries a plan out, one for each kind of collection."""


def configs(module: EmbeddingBagCollection | EmbeddingCollection) -> Sequence[EmbeddingBagConfig | EmbeddingConfig]:
    """torchrec's description of the tables of a collection, in order."""
    return module.embedding_bag_configs() if isinstance(module, EmbeddingBagCollection) else module.embedding_configs()


def collections(model: nn.Module) -> Iterator[Collection]:
    """All unsharded collections of a model, in a fixed order."""
    for prefix, group in model.named_modules():
        if isinstance(group, EmbeddingGroup):
            for path, module in group.named_modules():
                if isinstance(module, (EmbeddingBagCollection, EmbeddingCollection)):
                    bags = tuple(group.tables_at(path)[config.name] for config in configs(module))
                    yield Collection(f"{prefix}.{path}".lstrip("."), module, bags)


def make_plan(
    model: nn.Module, config: TrainConfig, device: torch.device, sharders: Sharders, saved: SavedPlan | None = None
) -> ShardingPlan:
    """Place the tables of a model on the ranks of the process group.

    Args:
        model: unsharded.
        config: for the sparse optimizer, on which kernels depend, and `global_embedding_constraints`.
        device: of this rank.
        sharders: that will carry the plan out.
        saved: the plan of a checkpoint; its sharding types are kept where the config allows them.

    Raises:
        ConfigError: a sharding type that does not exist or cannot be had, a table whose width no kernel takes, or one
            in half precision whose kernel is not fused.
    """
    found = list(collections(model))
    problems = [problem for each in found for bag in each.bags for problem in _unfit(bag, config)]
    if problems:
        raise ConfigError(problems)
    if device.type == "cuda":
        return _planned(model, found, config, sharders)
    return _by_rule(found, config, device, sharders, saved or {})


def _unfit(bag: SharedTable, config: TrainConfig) -> Iterator[Problem]:
    """What keeps a table from being placed as the config asks."""
    table, field = bag.table, "embedding_constraints.sharding_types"
    if table.dim % 4:
        yield Problem("embedding_dim", f'table "{table.name}" has {table.dim}; kernels need a multiple of 4')
    for name in _allowed(bag, config):
        if name not in TYPES and name not in HOSTS:
            known = ", ".join((*TYPES, *HOSTS))
            yield Problem(field, f'table "{table.name}": unknown sharding type "{name}"; use {known}')
    if _by_rows(config) and {HOSTS.get(name, name) for name in _allowed(bag, config)} == {"column_wise"}:
        yield Problem(
            field,
            f'table "{table.name}" is column_wise, where {kind(config.sparse_optimizer)}, whose steps depend on whole '
            "rows, would learn something else than on one rank; allow table_wise or row_wise too, or use an optimizer "
            "of single values, such as adagrad_optimizer or adam_optimizer",
        )


def _allowed(bag: SharedTable, config: TrainConfig) -> tuple[str, ...]:
    """Sharding types the config allows, those of the table before those of all tables; empty: any."""
    return bag.table.sharding_types or tuple(config.global_embedding_constraints.sharding_types)


def _by_rows(config: TrainConfig) -> bool:
    return table_optimizer(
        descriptor_of(getattr(config.sparse_optimizer, kind(config.sparse_optimizer)))
    ).needs_whole_rows


def _planned(model: nn.Module, found: Sequence[Collection], config: TrainConfig, sharders: Sharders) -> ShardingPlan:
    """The plan of torchrec's planner."""
    common = config.global_embedding_constraints
    plain = [] if fuses(config.sparse_optimizer, torch.device("cuda")) else ["dense"]
    constraints = {
        bag.table.name: ParameterConstraints(
            sharding_types=list(_allowed(bag, config)) or None,
            compute_kernels=(plain if bag.table.trainable else [])
            or list(bag.table.compute_kernels or common.compute_kernels)
            or None,
        )
        for each in found
        for bag in each.bags
    }
    topology = Topology(dist.get_world_size(), "cuda", local_world_size=env.rank_info().local_world_size)
    planner = EmbeddingShardingPlanner(topology=topology, constraints=constraints)
    return planner.collective_plan(model, list(sharders), dist.group.WORLD)


def _by_rule(
    found: Sequence[Collection], config: TrainConfig, device: torch.device, sharders: Sharders, saved: SavedPlan
) -> ShardingPlan:
    world, local = dist.get_world_size(), env.rank_info().local_world_size
    share = sum(table_bytes(bag.table) for each in found for bag in each.bags) / world
    chosen = [
        (each, bag, _sharding_type(bag, config, share, saved.get(each.path, {}).get(bag.table.name, {})))
        for each in found
        for bag in _whole_means(each)
    ]
    problems = [problem for _, bag, name in chosen for problem in _underflow(bag, name, _kernel(bag, config, device))]
    if problems:
        raise ConfigError(problems)
    ranks = _spread([bag for _, bag, name in chosen if name == "table_wise"], world)
    plan: dict[str, EmbeddingModuleShardingPlan] = {each.path: EmbeddingModuleShardingPlan() for each in found}
    for each, bag, name in chosen:
        rank = next(ranks) if name == "table_wise" else 0
        cut = _cut(name, _kernel(bag, config, device), rank, bag.table.dim, world)
        sharder = next(sharder for sharder in sharders if isinstance(each.module, sharder.module_type))
        plan[each.path][bag.table.name] = cut(each.weight(bag.table.name), local, world, device.type, sharder)
    return ShardingPlan(plan)  # type: ignore[arg-type]


def _underflow(bag: SharedTable, sharding_type: str, kernel: str) -> Iterator[Problem]:
    """A table whose gradients would be in half precision, where those of a batch of thousands are mostly 0."""
    if bag.table.data_type == "FP16" and (kernel == "dense" or sharding_type == "data_parallel"):
        yield Problem(
            "data_type",
            f'table "{bag.table.name}" is FP16, which needs a kernel that is fused with the optimizer; this one is '
            f"{sharding_type} with the kernel dense. Use FP32, or a fused optimizer without data_parallel",
        )


def _whole_means(collection: Collection) -> Iterator[SharedTable]:
    """The tables, with those held together that cannot be row-wise.

    torchrec divides row-wise means per feature, so it cannot tell the tables of a feature that has several.
    """
    times = Counter(feature for bag in collection.bags for feature in bag.features)
    for bag in collection.bags:
        entangled = (
            collection.pools and bag.table.pooling == "mean" and any(times[feature] > 1 for feature in bag.features)
        )
        yield replace(bag, table=replace(bag.table, sharding_types=("table_wise",))) if entangled else bag


def _sharding_type(bag: SharedTable, config: TrainConfig, share: float, saved: Mapping[str, Any]) -> str:
    """Sharding type of one table on CPU; `share` is one rank's part of the bytes of all tables."""
    if dist.get_world_size() == 1 or not bag.table.trainable:
        return "table_wise"  # alone all types are this one; frozen tables have no gradient to average
    allowed = [name for name in TYPES if name in {HOSTS.get(name, name) for name in _allowed(bag, config)}]
    if _by_rows(config):
        allowed = [name for name in allowed if name != "column_wise"]
    if saved.get("sharding_type") in (allowed or TYPES):
        return str(saved["sharding_type"])
    if allowed:
        return allowed[0]
    if bag.table.rows <= SMALL and bag.table.data_type != "FP16":
        return "data_parallel"
    return "row_wise" if table_bytes(bag.table) > max(share, LARGE) else "table_wise"


def _kernel(bag: SharedTable, config: TrainConfig, device: torch.device) -> str:
    if not bag.table.trainable:
        return "fused"
    plain = "dense" in (bag.table.compute_kernels or config.global_embedding_constraints.compute_kernels)
    return "dense" if plain or not fuses(config.sparse_optimizer, device) else "fused"


def _cut(sharding_type: str, kernel: str, rank: int, dim: int, world: int) -> Callable[..., ParameterSharding]:
    """torchrec's way of cutting a table into pieces."""
    if sharding_type == "row_wise":
        return row_wise(compute_kernel=kernel)
    if sharding_type == "data_parallel":
        return data_parallel()
    if sharding_type == "column_wise":
        pieces = max(n for n in range(1, world + 1) if dim % (4 * n) == 0)  # kernels take multiples of 4
        return column_wise(ranks=list(range(pieces)), compute_kernel=kernel)
    return table_wise(rank=rank, compute_kernel=kernel)


def _spread(bags: Sequence[SharedTable], world: int) -> Iterator[int]:
    """A rank for each whole table: runs of about equal work, so that what the ranks yield, side by side, is in order.

    Work grows with the logarithm of the rows: looking up and updating 8192 random rows of 16 values takes 0.1 ms in
    a table of 10 rows, 0.7 in one of 10,000 and 1.6 in one of a million.
    """
    work = [bag.table.dim * len(bag.features) * math.log2(bag.table.rows + 1) for bag in bags]
    done = 0.0
    for each in work:
        yield int((done + each / 2) * world / sum(work))
        done += each
