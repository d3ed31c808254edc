"""Plan a model for ranks that are not here: the function behind `tzrec plan`. Needs no data, GPU or process group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torchrec.distributed.planner.types import PlannerError

from tzrec.config.options import optimizer_bytes, table_optimizer
from tzrec.config.sequences import feature_members
from tzrec.errors import first_line
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.formatting import format_bytes, format_columns
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tables.capacity import Capacity, TableCapacity, num_vectors, plan_capacity
from tzrec.tables.cluster import Cluster
from tzrec.tables.plan_summary import table_bytes
from tzrec.tables.sharders import make_sharders
from tzrec.tables.sharding_plan import collections, plan_sharding
from tzrec.tables.sparse_optimizer import optimizer_descriptor
from tzrec.tables.torchrec_planner import RESERVED

DENSE_COPIES = 4
"""Float32 numbers for each dense parameter: value, gradient and the two moments of Adam."""


@dataclass(frozen=True)
class PlanReport:
    """Plan of a model on a cluster.

    Attributes:
        cluster: the ranks.
        capacity: needs of the tables; empty if torchrec found no plan.
        dense: bytes of the dense parameters, their gradients and moments, on each rank.
        activations: bytes of vectors and layer outputs of a batch with their gradients, on each rank.
        problems: reasons why the model does not fit, each with changes that help; empty if it fits.
    """

    cluster: Cluster
    capacity: Capacity
    dense: int
    activations: int
    problems: tuple[str, ...]

    def render(self) -> str:
        """Format the tables, the fullest rank and the problems."""
        lines = []
        if self.capacity.tables:
            header = ["table", "rows", "dim", "bytes", "sharding", "kernel", "ranks", "exchange/step"]
            cells = [_cells(table) for table in self.capacity.tables]
            lines += [format_columns([header, *cells], right=(1, 2, 3, 7)), "", self._summary()]
        return "\n".join([*lines, *(f"does not fit: {problem}" for problem in self.problems)])

    def _summary(self) -> str:
        rank = int((self.capacity.weights + self.capacity.optimizer).argmax())
        weights, optimizer = self.capacity.weights[rank], self.capacity.optimizer[rank]
        free = self.cluster.memory - weights - optimizer - self.dense - self.activations
        step, exchange = self.capacity.lookup_ms + self.capacity.exchange_ms, self.capacity.exchange_ms
        slowest, host = int(step.argmax()), self.capacity.host.max()
        on_host = f"   on its host {format_bytes(host)} of {format_bytes(self.cluster.host_memory)}" if host else ""
        return (
            f"fullest rank {rank} of {self.cluster.num_ranks}   weights {format_bytes(weights)}   "
            f"optimizer {format_bytes(optimizer)}   dense layers {format_bytes(self.dense)}   "
            f"activations {format_bytes(self.activations)}   free {format_bytes(max(free, 0))} of "
            f"{format_bytes(self.cluster.memory)}{on_host}\n"
            f"step of tables about {step[slowest]:.2g} ms on rank {slowest}, exchange {exchange[slowest]:.2g} of it "
            f"({self.cluster.batch_size:,} rows on each rank; bandwidths are the defaults of torchrec)"
        )


def plan(config: EasyRecConfig, cluster: Cluster) -> PlanReport:
    """Place the tables of a model on the ranks of a cluster, and compute what each rank needs.

    Args:
        config: checked for the device of the cluster.
        cluster: the ranks.

    Raises:
        ConfigError: a sharding type that is unknown or not available.
    """
    features = FeatureEncoder.from_config(config.feature_configs, config.data_config).features
    device = torch.device(cluster.device)
    model = build_model(config, features, table_device=torch.device("meta"), compute_device=device)
    train = config.train_config
    sharders = make_sharders(train.sparse_optimizer)
    ids_per_row = _ids_per_row(config)
    dense = DENSE_COPIES * 4 * _dense_values(model)
    activations = _activation_bytes(model, cluster, ids_per_row)
    try:
        placed = plan_sharding(model, train, cluster, sharders)
    except PlannerError as error:
        advice = _advice(model, config, cluster, dense, first_line(error))
        return PlanReport(cluster, Capacity(), dense, activations, advice)
    capacity = plan_capacity(model, placed, train, cluster, sharders, ids_per_row)
    needed = float((capacity.weights + capacity.optimizer).max()) + dense + activations
    problems = () if needed <= cluster.memory else _advice(model, config, cluster, dense + activations, "")
    return PlanReport(cluster, capacity, dense, activations, problems)


def _ids_per_row(config: EasyRecConfig) -> dict[str, float]:
    """Largest number of elements of each sequence feature that has a limit."""
    return {
        member.message.feature_name: float(member.sequence.limit)
        for feature in config.feature_configs
        for member in feature_members(feature)
        if member.sequence and member.sequence.limit
    }


def _dense_values(model: RecModel) -> int:
    """Number of values of the dense parameters."""
    paths = tuple(f"{collection.path}." for collection in collections(model))
    return sum(value.numel() for name, value in model.named_parameters() if not name.startswith(paths))


def _activation_bytes(model: RecModel, cluster: Cluster, ids_per_row: Mapping[str, float]) -> int:
    """Size of the vectors of a batch and of the outputs of linear layers, each with its gradient."""
    vectors = sum(
        shared.table.dim * num_vectors(collection, shared, ids_per_row)
        for collection in collections(model)
        for shared in collection.tables
    )
    layers = sum(module.out_features for module in model.modules() if isinstance(module, nn.Linear))
    return int(2 * 4 * cluster.batch_size * (vectors + layers))


def _advice(model: RecModel, config: EasyRecConfig, cluster: Cluster, other: int, reason: str) -> tuple[str, ...]:
    """Explain a model that does not fit, and list the changes that help.

    Args:
        model: unsharded.
        config: of the model.
        cluster: the ranks.
        other: bytes on each rank besides those of tables.
        reason: first line of the error of torchrec's planner; empty if there is a plan.
    """
    tables = [shared.table for collection in collections(model) for shared in collection.tables]
    descriptor = optimizer_descriptor(config.train_config.sparse_optimizer)
    weights = sum(map(table_bytes, tables))
    state = sum(optimizer_bytes(descriptor, table.rows, table.dim) for table in tables if table.trainable)
    usable = cluster.memory * (1 - RESERVED if cluster.device == "cuda" else 1) - other
    largest = max(tables, key=table_bytes)
    problem = (
        f"tables of {format_bytes(weights)} with {format_bytes(state)} of optimizer state on {cluster.num_ranks} ranks "
        f"with {format_bytes(max(usable, 0))} each for them; the largest is {largest.name} with "
        f"{format_bytes(table_bytes(largest))}"
    )
    helps = []
    if usable > 0:
        helps.append(f"use at least {math.ceil((weights + state) / usable)} ranks")
    if "table_wise" in largest.sharding_types and "row_wise" not in largest.sharding_types:
        helps.append(f"allow row_wise in embedding_constraints.sharding_types of {largest.name}")
    if table_optimizer(descriptor).state_per_value:
        rows = sum(table.rows for table in tables if table.trainable)
        helps.append(f"use rowwise_adagrad_optimizer, which stores {format_bytes(4 * rows)}")
    if any(table.data_type != "FP16" for table in tables):
        half = sum(2 * table.rows * table.dim for table in tables)
        helps.append(f"set data_type: FP16, which makes {format_bytes(half)} of the tables")
    return (f"{problem}. What helps: {'; '.join(helps)}", *([f"torchrec: {reason}"] if reason else []))


def _cells(table: TableCapacity) -> list[str]:
    shared = table.shared
    return [
        shared.full_name,
        f"{shared.table.rows:,}",
        str(shared.table.dim),
        format_bytes(table_bytes(shared.table)),
        table.sharding,
        table.kernel,
        _ranges(table.ranks),
        format_bytes(table.exchange),
    ]


def _ranges(ranks: tuple[int, ...]) -> str:
    """Format ascending numbers: `0-7,9`."""
    starts = [rank for rank in ranks if rank - 1 not in ranks]
    ends = [rank for rank in ranks if rank + 1 not in ranks]
    return ",".join(str(start) if start == end else f"{start}-{end}" for start, end in zip(starts, ends))
