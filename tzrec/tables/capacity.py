"""Memory and exchange that a sharding plan needs on each rank, and the time of its lookups; no rank is started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import nn
from torchrec.distributed.planner import ParameterConstraints
from torchrec.distributed.planner.constants import UVM_CACHING_RATIO
from torchrec.distributed.planner.types import ShardingOption
from torchrec.distributed.types import EnumerableShardingSpec, ParameterSharding, ShardingPlan

from tzrec.config.options import optimizer_bytes, value_bytes
from tzrec.protos.train_pb2 import TrainConfig
from tzrec.tables.cluster import Cluster
from tzrec.tables.plan_search import make_enumerator
from tzrec.tables.plan_summary import table_bytes
from tzrec.tables.sharding_plan import Collection, Sharders, collections
from tzrec.tables.shared_table import SharedTable
from tzrec.tables.sparse_optimizer import optimizer_descriptor
from tzrec.tables.torchrec_planner import topology

PerRank = npt.NDArray[np.float64]
"""One number for each rank, (num_ranks,)."""

CACHED = {"fused_uvm": 0.0, "fused_uvm_caching": UVM_CACHING_RATIO}
"""Kernels of tables in the memory of the host, and the part of a table that the GPU caches."""

ID_BYTES, VALUE_BYTES = 8, 4
"""Size of an id and of a value of a vector in the exchange."""


@dataclass(frozen=True)
class TableCapacity:
    """Placement of a table and its exchange.

    Attributes:
        shared: the table.
        sharding: sharding type.
        kernel: kernel.
        ranks: ranks that hold a shard, in ascending order.
        weights: bytes of all its shards.
        optimizer: bytes of the optimizer state of all shards, and of the gradients of dense kernels.
        activations: bytes of the vectors of a batch with their gradients, on each rank.
        exchange: bytes that a rank sends for it in one step, the mean of all ranks.
        step_ms: milliseconds of its lookups, updates and exchange in one step, on its slowest rank.
    """

    shared: SharedTable
    sharding: str
    kernel: str
    ranks: tuple[int, ...]
    weights: float
    optimizer: float
    activations: float
    exchange: float
    step_ms: float


@dataclass(frozen=True)
class Capacity:
    """Needs of all tables.

    Attributes:
        tables: in the order of the model.
        weights: bytes of shards in the memory of each rank.
        optimizer: bytes of their optimizer state, and of gradients of dense kernels, in the memory of each rank.
        host: bytes of shards and optimizer state in the memory of the host, for each of its ranks: of tables that a GPU
            reads from there (`fused_uvm`), or of which it caches a part (`fused_uvm_caching`).
        exchange: bytes that each rank sends for all tables in one step.
        lookup_ms: milliseconds of lookups and updates in one step on each rank, as torchrec estimates them.
        exchange_ms: milliseconds of the exchange in one step on each rank, as torchrec estimates them.
    """

    tables: list[TableCapacity] = field(default_factory=list)
    weights: PerRank = field(default_factory=lambda: np.zeros(1))
    optimizer: PerRank = field(default_factory=lambda: np.zeros(1))
    host: PerRank = field(default_factory=lambda: np.zeros(1))
    exchange: PerRank = field(default_factory=lambda: np.zeros(1))
    lookup_ms: PerRank = field(default_factory=lambda: np.zeros(1))
    exchange_ms: PerRank = field(default_factory=lambda: np.zeros(1))


def plan_capacity(
    model: nn.Module,
    plan: ShardingPlan,
    config: TrainConfig,
    cluster: Cluster,
    sharders: Sharders,
    ids_per_row: Mapping[str, float],
) -> Capacity:
    """Compute the needs of a plan.

    Args:
        model: unsharded, with tables on the meta device.
        plan: places the tables of the model on the ranks of the cluster.
        config: for the sparse optimizer.
        cluster: the ranks.
        sharders: those with which the plan was made.
        ids_per_row: number of ids that a feature looks up in a row, by name; 1 for other features.
    """
    capacity = Capacity([], *(np.zeros(cluster.num_ranks) for _ in range(6)))
    for collection in collections(model):
        shardings: Mapping[str, ParameterSharding] = plan.plan[collection.path]  # type: ignore[assignment]
        options = _options(collection, shardings, cluster, sharders, ids_per_row)
        for shared in collection.tables:
            name = shared.table.name
            step_ms = _add_times(capacity, _ranks(shardings[name], cluster), options[name])
            _add_table(capacity, shared, collection, shardings[name], config, cluster, ids_per_row, step_ms)
    return capacity


def _add_times(capacity: Capacity, ranks: Sequence[int], option: ShardingOption) -> float:
    """Add the times of a table to its ranks; return that of the slowest one."""
    total = np.zeros_like(capacity.lookup_ms)
    for rank, shard in zip(ranks, option.shards, strict=True):
        perf = shard.perf
        assert perf is not None
        lookup = perf.fwd_compute + perf.bwd_compute + perf.prefetch_compute
        exchange = perf.fwd_comms + perf.bwd_comms + perf.input_dist_comms
        capacity.lookup_ms[rank] += lookup
        capacity.exchange_ms[rank] += exchange
        total[rank] += lookup + exchange
    return float(total.max())


def _add_table(
    capacity: Capacity,
    shared: SharedTable,
    collection: Collection,
    sharding: ParameterSharding,
    config: TrainConfig,
    cluster: Cluster,
    ids_per_row: Mapping[str, float],
    step_ms: float,
) -> None:
    """Append a table and add its shards to the ranks that hold them."""
    table = shared.table
    cached = CACHED.get(sharding.compute_kernel)
    held, all_weights, all_state = np.zeros(cluster.num_ranks), 0.0, 0.0
    for rank, rows, columns in _shards(shared, sharding, cluster):
        weights, state = rows * columns * value_bytes(table.data_type), 0
        if table.trainable:
            state = optimizer_bytes(optimizer_descriptor(config.sparse_optimizer), rows, columns)
            state += weights if sharding.compute_kernel == "dense" else 0
        capacity.weights[rank] += weights * (1 if cached is None else cached)
        capacity.optimizer[rank] += state * (1 if cached is None else cached)
        capacity.host[rank] += 0 if cached is None else weights + state
        all_weights, all_state = all_weights + weights, all_state + state
        held[rank] += rows * columns / (table.rows * table.dim)
    num_values = num_vectors(collection, shared, ids_per_row) * table.dim
    exchange = exchange_bytes(
        sharding.sharding_type,
        cluster,
        num_ids(shared, ids_per_row),
        num_values,
        table_bytes(table),
        table.trainable,
        collection.is_pooled,
        held,
    )
    capacity.exchange[:] += exchange
    capacity.tables.append(
        TableCapacity(
            shared,
            sharding.sharding_type,
            sharding.compute_kernel,
            tuple(sorted(set(_ranks(sharding, cluster)))),
            all_weights,
            all_state,
            vector_bytes(cluster, num_values),
            float(exchange.mean()),
            step_ms,
        )
    )


def vector_bytes(cluster: Cluster, num_values: float) -> float:
    """Return the bytes of the vectors of a batch with their gradients, on each rank.

    Args:
        cluster: the ranks.
        num_values: values of the vectors of one row of data.
    """
    return 2 * VALUE_BYTES * cluster.batch_size * num_values


def num_ids(shared: SharedTable, ids_per_row: Mapping[str, float]) -> float:
    """Return the number of ids that a row of data looks up in a table."""
    return sum(ids_per_row.get(feature, 1.0) for feature in shared.features)


def num_vectors(collection: Collection, shared: SharedTable, ids_per_row: Mapping[str, float]) -> float:
    """Return the number of vectors that a row of data gets from a table."""
    return len(shared.features) if collection.is_pooled else num_ids(shared, ids_per_row)


def exchange_bytes(
    sharding: str,
    cluster: Cluster,
    num_ids: float,
    num_values: float,
    size: int,
    is_trained: bool,
    is_pooled: bool,
    held: PerRank,
) -> PerRank:
    """Return the bytes that each rank sends for a table in one step.

    Ids go to the ranks that hold their rows, vectors come back, and gradients go the way of the vectors in reverse.
    Ranks with some of the rows of a pooled table each sum what they have for the rows of all ranks (reduce-scatter);
    without pooling, each vector comes from one rank.

    Args:
        sharding: sharding type.
        cluster: the ranks.
        num_ids: ids in one row of data.
        num_values: values of the vectors of one row of data.
        size: bytes of the table.
        is_trained: False for frozen tables, which have no gradient.
        is_pooled: False for tables that yield one vector for each id.
        held: part of the table that each rank holds.
    """
    num_ranks, batch_size = cluster.num_ranks, cluster.batch_size
    remote = 1 - 1 / num_ranks  # part of the rows of a batch that belong to other ranks
    if sharding == "data_parallel":
        # a ring: reduce-scatter and all-gather of the gradient
        return np.full(num_ranks, 2 * remote * size * is_trained)
    ids, vectors = batch_size * num_ids * ID_BYTES, batch_size * num_values * VALUE_BYTES
    factor = remote
    if is_pooled and sharding == "row_wise":
        factor = num_ranks - 1  # partial sums of all rows
    elif is_pooled and sharding in ("table_row_wise", "grid_shard"):
        in_host = min(cluster.ranks_per_host, num_ranks)
        factor = (in_host - 1) + (1 - in_host / num_ranks)  # partial sums in the host, then whole ones between hosts
    forward = num_ranks * vectors * factor * held
    backward = vectors * (1 - held) if factor == remote else np.full(num_ranks, vectors * factor)
    return ids * (1 - held) + forward + backward * is_trained


def _shards(shared: SharedTable, sharding: ParameterSharding, cluster: Cluster) -> Iterator[tuple[int, int, int]]:
    """Yield rank, rows and columns of each shard."""
    spec = sharding.sharding_spec
    if spec is None:  # data_parallel: a replica on each rank
        yield from ((rank, shared.table.rows, shared.table.dim) for rank in range(cluster.num_ranks))
        return
    assert isinstance(spec, EnumerableShardingSpec)
    for rank, shard in zip(_ranks(sharding, cluster), spec.shards, strict=True):
        rows, columns = shard.shard_sizes
        yield rank, rows, columns


def _ranks(sharding: ParameterSharding, cluster: Cluster) -> Sequence[int]:
    """Rank of each shard, in the order of the shards."""
    if sharding.sharding_type == "data_parallel":
        return range(cluster.num_ranks)
    assert sharding.ranks is not None
    return sharding.ranks


def _options(
    collection: Collection,
    shardings: Mapping[str, ParameterSharding],
    cluster: Cluster,
    sharders: Sharders,
    ids_per_row: Mapping[str, float],
) -> dict[str, ShardingOption]:
    """torchrec's estimate of each table of a collection, sharded as in the plan."""
    constraints = {
        shared.table.name: ParameterConstraints(
            sharding_types=[shardings[shared.table.name].sharding_type],
            compute_kernels=[shardings[shared.table.name].compute_kernel],
            min_partition=_min_partition(shardings[shared.table.name]),
            pooling_factors=[ids_per_row.get(feature, 1.0) for feature in shared.features],
        )
        for shared in collection.tables
    }
    enumerator = make_enumerator(topology(cluster), cluster.batch_size, constraints)
    return {option.name: option for option in enumerator.enumerate(_Holder(collection.module), list(sharders))}


def _min_partition(sharding: ParameterSharding) -> int | None:
    """Width of the shards of a table that is cut by columns, which torchrec then cuts alike."""
    spec = sharding.sharding_spec
    is_cut = sharding.sharding_type in ("column_wise", "table_column_wise", "grid_shard")
    return min(shard.shard_sizes[1] for shard in spec.shards) if is_cut and spec else None  # type: ignore[attr-defined]


class _Holder(nn.Module):
    """Parent of one collection: torchrec enumerates the tables of children."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
