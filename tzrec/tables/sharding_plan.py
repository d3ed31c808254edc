"""Sharding plan: the sharding type, kernel and ranks of every table.

On CPU the tables are placed here, by rules that give the same result on every rank: torchrec's planner has no row-wise
bags on CPU, and its costs are those of GPUs. With CUDA torchrec's planner decides, within the config's constraints.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingCollection, EmbeddingConfig
from torchrec.distributed.planner import ParameterConstraints
from torchrec.distributed.sharding_plan import column_wise, data_parallel, row_wise, table_wise
from torchrec.distributed.types import EmbeddingModuleShardingPlan, ModuleSharder, ParameterSharding, ShardingPlan

from tzrec.config.options import table_optimizer
from tzrec.errors import ConfigError, Problem
from tzrec.protos.train_pb2 import TrainConfig
from tzrec.tables.cluster import Cluster
from tzrec.tables.owner import find_collections
from tzrec.tables.plan_summary import SavedPlan, table_bytes
from tzrec.tables.shared_table import SharedTable
from tzrec.tables.sparse_optimizer import can_fuse, kind, optimizer_descriptor
from tzrec.tables.torchrec_planner import plan_by_torchrec
from tzrec.torchrec_adapter import planned_optimizer

TYPES = ("table_wise", "row_wise", "column_wise", "data_parallel")
"""Sharding types on CPU, in order of preference where a config allows several."""

HOST_TYPES = {"table_row_wise": "row_wise", "grid_shard": "row_wise", "table_column_wise": "column_wise"}
"""Sharding types that place a table per host, and their equivalents on CPU, where hosts are not distinguished."""

SMALL = 1000
"""Rows up to which a table is replicated. Averaging the gradient of so few rows moves less than exchanging the vectors
of a batch does: with 7 of 15 tables replicated, two ranks with 8192 rows each took 36 ms instead of 46 for one step."""

LARGE = 256 << 20
"""Bytes from which a table that exceeds one rank's share of all tables is row-wise, to spread the memory."""


FUSED_KERNELS = ("fused", "fused_uvm_caching", "fused_uvm")
"""Kernels on CUDA that touch only the rows of a batch, those of tables in the memory of the GPU first."""

DENSE_LIMIT = 16 << 20
"""Bytes up to which the planner may replicate a table on CUDA: its costs omit that a dense kernel reads the whole
table, its gradient and its optimizer state in each step."""


@dataclass(frozen=True)
class Collection:
    """One unsharded collection of a model and its tables."""

    path: str
    module: EmbeddingBagCollection | EmbeddingCollection
    tables: tuple[SharedTable, ...]

    @property
    def is_pooled(self) -> bool:
        """True if it yields one vector per row; otherwise it yields one per id."""
        return isinstance(self.module, EmbeddingBagCollection)

    def weight(self, table: str) -> nn.Parameter:
        """Values of a table."""
        modules = self.module.embedding_bags if self.is_pooled else self.module.embeddings
        return modules[table].weight  # type: ignore[index,union-attr,return-value]


Sharders = Sequence[ModuleSharder[Any]]
"""Modules that carry a plan out, one for each kind of collection."""


def configs(module: EmbeddingBagCollection | EmbeddingCollection) -> Sequence[EmbeddingBagConfig | EmbeddingConfig]:
    """torchrec's configs of the tables of a collection, in order."""
    return module.embedding_bag_configs() if isinstance(module, EmbeddingBagCollection) else module.embedding_configs()


def collections(model: nn.Module) -> Iterator[Collection]:
    """All unsharded collections of a model, in a fixed order."""
    for path, module, tables in find_collections(model, (EmbeddingBagCollection, EmbeddingCollection)):
        members = tuple(tables[config.name] for config in configs(module))  # type: ignore[arg-type]
        yield Collection(path, module, members)  # type: ignore[arg-type]


def plan_sharding(
    model: nn.Module, config: TrainConfig, cluster: Cluster, sharders: Sharders, saved: SavedPlan | None = None
) -> ShardingPlan:
    """Place the tables of a model on ranks.

    Args:
        model: unsharded.
        config: for the sparse optimizer, on which the kernels depend, and `global_embedding_constraints`.
        cluster: the ranks.
        sharders: of the collections.
        saved: the plan of a checkpoint; its sharding types are kept where the config allows them.

    Raises:
        ConfigError: a sharding type that is unknown or not available, a table whose width no kernel supports, or one
            in half precision whose kernel is not fused.
        PlannerError: with CUDA, the tables do not fit into the memory of the ranks.
    """
    unsharded = list(collections(model))
    tables = [shared for collection in unsharded for shared in collection.tables]
    problems = [problem for shared in tables for problem in validate_sharding(shared, config)]
    if problems:
        raise ConfigError(problems)
    if cluster.device == "cuda":
        rule = table_optimizer(optimizer_descriptor(config.sparse_optimizer))
        weights = [
            collection.weight(shared.table.name)
            for collection in unsharded
            for shared in collection.tables
            if shared.table.trainable
        ]
        constraints = _constraints(tables, config)
        problems = [
            problem for collection in unsharded for problem in _validate_kernels(collection, constraints, sharders)
        ]
        if problems:
            raise ConfigError(problems)
        with planned_optimizer(weights, rule.state_per_value, rule.state_per_row):
            return plan_by_torchrec(model, constraints, cluster, sharders)
    return _plan_by_rules(unsharded, config, cluster, sharders, saved or {})


def validate_sharding(shared: SharedTable, config: TrainConfig) -> Iterator[Problem]:
    """Problems that keep a table from being placed as the config asks."""
    table, field = shared.table, "embedding_constraints.sharding_types"
    if table.dim % 4:
        yield Problem("embedding_dim", f'table "{table.name}" has {table.dim}; kernels need a multiple of 4')
    for name in _allowed_types(shared, config):
        if name not in TYPES and name not in HOST_TYPES:
            known = ", ".join((*TYPES, *HOST_TYPES))
            yield Problem(field, f'table "{table.name}": unknown sharding type "{name}"; use {known}')
    if _is_row_based(config) and _cpu_types(shared, config) == {"column_wise"}:
        yield Problem(
            field,
            f'table "{table.name}" is column_wise, which changes the updates of {kind(config.sparse_optimizer)}: they '
            "depend on whole rows. Allow table_wise or row_wise too, or use an optimizer of single values, such as "
            "adagrad_optimizer or adam_optimizer",
        )


def _allowed_types(shared: SharedTable, config: TrainConfig) -> tuple[str, ...]:
    """Sharding types the config allows, those of the table before those of all tables; empty for any."""
    return shared.table.sharding_types or tuple(config.global_embedding_constraints.sharding_types)


def _cpu_types(shared: SharedTable, config: TrainConfig) -> set[str]:
    """Allowed types by their names on CPU."""
    return {HOST_TYPES.get(name, name) for name in _allowed_types(shared, config)}


def _is_row_based(config: TrainConfig) -> bool:
    return table_optimizer(optimizer_descriptor(config.sparse_optimizer)).needs_whole_rows


def _constraints(tables: Sequence[SharedTable], config: TrainConfig) -> dict[str, ParameterConstraints]:
    """Constraints of torchrec's planner by name of the table."""
    return {
        shared.table.name: ParameterConstraints(
            sharding_types=list(_allowed_types(shared, config)) or None, compute_kernels=_cuda_kernels(shared, config)
        )
        for shared in tables
    }


def _cuda_kernels(shared: SharedTable, config: TrainConfig) -> list[str]:
    """Kernels that the planner may choose for a table on CUDA."""
    table = shared.table
    if table.trainable and not can_fuse(config.sparse_optimizer, torch.device("cuda")):
        return ["dense"]
    requested = table.compute_kernels or config.global_embedding_constraints.compute_kernels
    is_wanted = set(_allowed_types(shared, config)) == {"data_parallel"}  # whatever it costs
    is_dense = table.trainable and table.data_type != "FP16" and (is_wanted or table_bytes(table) <= DENSE_LIMIT)
    return list(requested) or [*FUSED_KERNELS, *(["dense"] if is_dense else [])]


def _validate_kernels(
    collection: Collection, constraints: Mapping[str, ParameterConstraints], sharders: Sharders
) -> Iterator[Problem]:
    """Problems of tables for which torchrec has no kernel on CUDA under their constraints."""
    sharder = _sharder(collection, sharders)
    for shared in collection.tables:
        constraint = constraints[shared.table.name]
        types, kernels = constraint.sharding_types, constraint.compute_kernels or ()
        offered = {name: sharder.compute_kernels(name, "cuda") for name in types or sharder.sharding_types("cuda")}
        if not any(kernel in names for kernel in kernels for names in offered.values()):
            known = (
                f"{name} has {', '.join(kernel for kernel in (*FUSED_KERNELS, 'dense') if kernel in names)}"
                for name, names in offered.items()
            )
            yield Problem(
                "embedding_constraints",
                f'table "{shared.table.name}": none of its sharding types has the kernel {" or ".join(kernels)} on '
                f"CUDA; {'; '.join(known)}",
            )


def _sharder(collection: Collection, sharders: Sharders) -> ModuleSharder[Any]:
    return next(sharder for sharder in sharders if isinstance(collection.module, sharder.module_type))


def _plan_by_rules(
    unsharded: Sequence[Collection], config: TrainConfig, cluster: Cluster, sharders: Sharders, saved: SavedPlan
) -> ShardingPlan:
    world, local, device = cluster.num_ranks, cluster.ranks_per_host, torch.device(cluster.device)
    share = sum(table_bytes(shared.table) for collection in unsharded for shared in collection.tables) / world
    decisions: list[tuple[Collection, SharedTable, str, str]] = []  # with sharding type and kernel
    for collection in unsharded:
        saved_tables = saved.get(collection.path, {})
        for shared in _with_mean_constraints(collection):
            saved_table = saved_tables.get(shared.table.name, {})
            sharding_type = _sharding_type(shared, config, world, share, saved_table)
            decisions.append((collection, shared, sharding_type, _kernel(shared, config, device)))
    problems = [
        problem
        for _, shared, sharding_type, kernel in decisions
        for problem in _validate_precision(shared, sharding_type, kernel)
    ]
    if problems:
        raise ConfigError(problems)
    ranks = _assign_ranks([shared for _, shared, sharding_type, _ in decisions if sharding_type == "table_wise"], world)
    plan = {collection.path: EmbeddingModuleShardingPlan() for collection in unsharded}
    for collection, shared, sharding_type, kernel in decisions:
        rank = next(ranks) if sharding_type == "table_wise" else 0
        parameter_sharding = _parameter_sharding(sharding_type, kernel, rank, shared.table.dim, world)
        sharder = _sharder(collection, sharders)
        weight = collection.weight(shared.table.name)
        plan[collection.path][shared.table.name] = parameter_sharding(weight, local, world, device.type, sharder)
    return ShardingPlan(plan)  # type: ignore[arg-type]


def _validate_precision(shared: SharedTable, sharding_type: str, kernel: str) -> Iterator[Problem]:
    """Problem of a table with gradients in half precision, where those of a batch of thousands are mostly 0."""
    if shared.table.data_type == "FP16" and (kernel == "dense" or sharding_type == "data_parallel"):
        yield Problem(
            "data_type",
            f'table "{shared.table.name}" is FP16, which needs a kernel that is fused with the optimizer; this one is '
            f"{sharding_type} with the kernel dense. Use FP32, or a fused optimizer without data_parallel",
        )


def _with_mean_constraints(collection: Collection) -> Iterator[SharedTable]:
    """Tables of a collection, those table-wise that cannot be row-wise.

    torchrec divides row-wise means per feature, so it cannot distinguish the tables of a feature that has several.
    """
    num_tables = Counter(feature for shared in collection.tables for feature in shared.features)
    for shared in collection.tables:
        is_ambiguous = (
            collection.is_pooled
            and shared.table.pooling == "mean"
            and any(num_tables[feature] > 1 for feature in shared.features)
        )
        yield replace(shared, table=replace(shared.table, sharding_types=("table_wise",))) if is_ambiguous else shared


def _sharding_type(shared: SharedTable, config: TrainConfig, world: int, share: float, saved: Mapping[str, Any]) -> str:
    """Sharding type of one table on CPU; `share` is one rank's part of the bytes of all tables."""
    if world == 1 or not shared.table.trainable:
        return "table_wise"  # on one rank all types are equal; frozen tables have no gradient to average
    allowed = [name for name in TYPES if name in _cpu_types(shared, config)]
    if _is_row_based(config):
        allowed = [name for name in allowed if name != "column_wise"]
    if saved.get("sharding_type") in (allowed or TYPES):
        return str(saved["sharding_type"])
    if allowed:
        return allowed[0]
    if shared.table.rows <= SMALL and shared.table.data_type != "FP16":
        return "data_parallel"
    return "row_wise" if table_bytes(shared.table) > max(share, LARGE) else "table_wise"


def _kernel(shared: SharedTable, config: TrainConfig, device: torch.device) -> str:
    """Kernel of one table on CPU, "fused" or "dense"."""
    if not shared.table.trainable:
        return "fused"
    is_dense = "dense" in (shared.table.compute_kernels or config.global_embedding_constraints.compute_kernels)
    return "dense" if is_dense or not can_fuse(config.sparse_optimizer, device) else "fused"


def _parameter_sharding(
    sharding_type: str, kernel: str, rank: int, dim: int, world: int
) -> Callable[..., ParameterSharding]:
    """Function of torchrec that divides a table into shards."""
    if sharding_type == "row_wise":
        return row_wise(compute_kernel=kernel)
    if sharding_type == "data_parallel":
        return data_parallel()
    if sharding_type == "column_wise":
        num_shards = max(n for n in range(1, world + 1) if dim % (4 * n) == 0)  # kernels take multiples of 4
        return column_wise(ranks=list(range(num_shards)), compute_kernel=kernel)
    return table_wise(rank=rank, compute_kernel=kernel)


def _assign_ranks(tables: Sequence[SharedTable], world: int) -> Iterator[int]:
    """Rank of each table-wise table: consecutive runs of about equal work, so that the ranks' outputs are in order.

    Work grows with the logarithm of the rows: looking up and updating 8192 random rows of 16 values takes 0.1 ms in
    a table of 10 rows, 0.7 in one of 10,000 and 1.6 in one of a million.
    """
    work = [shared.table.dim * len(shared.features) * math.log2(shared.table.rows + 1) for shared in tables]
    done = 0.0
    for amount in work:
        yield int((done + amount / 2) * world / sum(work))
        done += amount
