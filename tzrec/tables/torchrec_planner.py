"""torchrec's planner, for the ranks of this process group or for a cluster elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch.distributed as dist
from torch import nn
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints, Topology
from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation
from torchrec.distributed.planner.types import KernelConfig, TopologyFactory, TrainerConfig
from torchrec.distributed.types import ModuleSharder, ShardingPlan

from tzrec.tables.cluster import Cluster
from tzrec.tables.plan_search import make_enumerator, make_proposers

RESERVED = 0.15
"""Part of the memory of a rank that is left to activations, buffers of the exchange and fragmentation."""


def plan_by_torchrec(
    model: nn.Module,
    constraints: Mapping[str, ParameterConstraints],
    cluster: Cluster,
    sharders: Sequence[ModuleSharder[Any]],
) -> ShardingPlan:
    """Let torchrec place the tables of a model.

    Raises:
        PlannerError: they do not fit into the memory of the ranks, or not under the constraints.
    """
    ranks = topology(cluster)
    planner = EmbeddingShardingPlanner(
        topology=ranks,
        batch_size=cluster.batch_size,
        enumerator=make_enumerator(ranks, cluster.batch_size, constraints),
        proposer=make_proposers(cluster.num_ranks),
        storage_reservation=FixedPercentageStorageReservation(RESERVED),
        constraints=dict(constraints),
        stats=[],
    )
    with _quiet():
        if cluster.is_current:
            return planner.collective_plan(model, list(sharders), dist.group.WORLD)
        return planner.plan(model, list(sharders))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide warnings that torchrec writes to the root logger for each replicated table."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def topology(cluster: Cluster) -> Topology:
    """Describe a cluster to torchrec; bandwidths are its defaults."""
    return TopologyFactory.create_topology(
        TrainerConfig(
            world_size=cluster.num_ranks,
            local_world_size=cluster.ranks_per_host,
            hbm_cap_bytes=cluster.memory if cluster.device == "cuda" else None,
            ddr_cap_bytes=cluster.host_memory,
        ),
        kernel_config=KernelConfig(compute_device=cluster.device),
    )
