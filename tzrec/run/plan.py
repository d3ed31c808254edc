"""Plan a model for ranks that are not here: the function behind `tzrec plan`. Needs no data, GPU or process group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torchrec.distributed.planner.types import PlannerError

from tzrec.config.sequences import feature_members
from tzrec.errors import first_line
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.formatting import format_bytes, format_columns
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tables.capacity import Capacity, PerRank, TableCapacity, num_vectors, plan_capacity, vector_bytes
from tzrec.tables.capacity_advice import capacity_advice
from tzrec.tables.cluster import Cluster
from tzrec.tables.sharders import make_sharders
from tzrec.tables.sharding_plan import collections, plan_sharding

MOST_GROUPS = 16
"""Lines of ranks that are printed."""

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
        """Format the tables, the ranks and the problems."""
        lines = []
        if self.capacity.tables:
            header = ["table", "rows", "dim", "sharding", "kernel", "ranks", "weights", "optimizer", "activations"]
            cells = [_cells(table) for table in self.capacity.tables]
            lines += [format_columns([[*header, "exchange/step", "ms/step"], *cells], right=(1, 2, *range(6, 11))), ""]
            lines += [*self._rank_lines(), "", self._notes()]
        return "\n".join([*lines, *(f"does not fit: {problem}" for problem in self.problems)])

    def _rank_lines(self) -> Iterator[str]:
        """Yield a line for each group of ranks with equal needs, those with the least free memory first."""
        needs, host = self.capacity, self.capacity.host.any()
        free = self.free
        header = ["ranks", "weights", "optimizer", "activations", "free", "exchange/step", "ms/step"]
        groups: dict[tuple[str, ...], list[int]] = {}
        for rank in np.argsort(free, kind="stable").tolist():
            sizes = [needs.weights[rank], needs.optimizer[rank], self.activations, max(free[rank], 0)]
            cells = [*map(format_bytes, sizes), format_bytes(needs.exchange[rank]), _milliseconds(self.step_ms[rank])]
            groups.setdefault((*cells, *([format_bytes(needs.host[rank])] if host else [])), []).append(rank)
        lines = [[_ranges(tuple(sorted(ranks))), *cells] for cells, ranks in groups.items()]
        header += ["on host"] if host else []
        yield format_columns([header, *lines[:MOST_GROUPS]], right=range(1, len(header)))
        if len(lines) > MOST_GROUPS:
            num_ranks = sum(map(len, list(groups.values())[MOST_GROUPS:]))
            yield f"and {num_ranks} ranks with more free memory"

    @property
    def free(self) -> PerRank:
        """Bytes of memory that each rank has left; negative where it does not fit."""
        tables = self.capacity.weights + self.capacity.optimizer
        return self.cluster.memory - self.dense - self.activations - tables

    @property
    def step_ms(self) -> PerRank:
        """Milliseconds of the tables in one step, on each rank."""
        return self.capacity.lookup_ms + self.capacity.exchange_ms

    def _notes(self) -> str:
        slowest, host = int(self.step_ms.argmax()), self.capacity.host.max()
        on_host = f", and {format_bytes(self.cluster.host_memory)} of its host" if host else ""
        exchange = 2 * (1 - 1 / self.cluster.num_ranks) * self.dense / DENSE_COPIES
        return (
            f"each rank has {format_bytes(self.cluster.memory)}{on_host}; dense layers take {format_bytes(self.dense)} "
            f"of it and send {format_bytes(exchange)} of gradients in a step\n"
            f"step of tables about {_milliseconds(self.step_ms[slowest])} ms on rank {slowest}, exchange "
            f"{_milliseconds(self.capacity.exchange_ms[slowest])} of it ({self.cluster.batch_size:,} rows on each "
            "rank; bandwidths are the defaults of torchrec)"
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
        advice = capacity_advice(model, train, cluster, dense)
        return PlanReport(cluster, Capacity(), dense, activations, (advice, f"torchrec: {first_line(error)}"))
    capacity = plan_capacity(model, placed, train, cluster, sharders, ids_per_row)
    report = PlanReport(cluster, capacity, dense, activations, ())
    if report.free.min() >= 0:
        return report
    return replace(report, problems=(capacity_advice(model, train, cluster, dense + activations),))


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
    return int(vector_bytes(cluster, vectors + layers))


def _cells(table: TableCapacity) -> list[str]:
    shared = table.shared
    return [
        shared.full_name,
        f"{shared.table.rows:,}",
        str(shared.table.dim),
        table.sharding,
        table.kernel,
        _ranges(table.ranks),
        *map(format_bytes, (table.weights, table.optimizer, table.activations, table.exchange)),
        _milliseconds(table.step_ms),
    ]


def _milliseconds(time: float) -> str:
    """Format with two digits: `0.65`, `6.1`, `850`."""
    return f"{time:,.0f}" if time >= 10 else f"{time:.2g}"


def _ranges(ranks: tuple[int, ...]) -> str:
    """Format ascending numbers: `0-7,9`."""
    starts = [rank for rank in ranks if rank - 1 not in ranks]
    ends = [rank for rank in ranks if rank + 1 not in ranks]
    return ",".join(str(start) if start == end else f"{start}-{end}" for start, end in zip(starts, ends))
