"""Search for a sharding plan with torchrec's options, costs and placement, without work that cannot change the result.

torchrec estimates each shard of each option, and places hundreds of proposals on all ranks one by one: with 23 tables
and 512 ranks that took 44 s. Shards of one size cost the same, and most proposals cannot beat the best plan so far.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torchrec.distributed.planner import ParameterConstraints, Topology
from torchrec.distributed.planner.constants import DEFAULT_PERF_ESTIMATOR
from torchrec.distributed.planner.enumerators import EmbeddingEnumerator
from torchrec.distributed.planner.estimator import EmbeddingPerfEstimatorFactory
from torchrec.distributed.planner.proposers import GreedyProposer, GridSearchProposer, UniformProposer
from torchrec.distributed.planner.shard_estimators import EmbeddingStorageEstimator
from torchrec.distributed.planner.types import (
    Enumerator,
    PartitionByType,
    Proposer,
    SharderDataMap,
    ShardEstimator,
    ShardingOption,
)

_ROUNDING = 1e-9
"""Relative difference of two sums of the same costs in another order, far above that of float64."""


def make_enumerator(
    topology: Topology, batch_size: int, constraints: Mapping[str, ParameterConstraints]
) -> EmbeddingEnumerator:
    """Create torchrec's enumerator of the options of all tables, with its estimates of time and storage."""
    by_table = dict(constraints)
    estimators = [ShapePerfEstimator(topology, by_table), EmbeddingStorageEstimator(topology, by_table)]
    return EmbeddingEnumerator(topology, batch_size, by_table, estimators)


def make_proposers(num_ranks: int) -> list[Proposer]:
    """Create torchrec's default proposers, without proposals that cannot become the best plan."""
    best = BestRating()
    proposers = (GridSearchProposer(), GreedyProposer(), GreedyProposer(use_depth=False), UniformProposer())
    return [BoundedProposer(proposer, num_ranks, best) for proposer in proposers]


class ShapePerfEstimator(ShardEstimator):
    """torchrec's estimate of times, computed once for all shards of an option that have the same size."""

    def __init__(self, topology: Topology, constraints: dict[str, ParameterConstraints] | None = None) -> None:
        self._estimator = EmbeddingPerfEstimatorFactory.create(
            DEFAULT_PERF_ESTIMATOR, topology=topology, constraints=constraints
        )

    def estimate(self, sharding_options: list[ShardingOption], sharder_data_map: SharderDataMap) -> None:
        """Set the times of all shards."""
        shards_by_option = [option.shards for option in sharding_options]
        shapes = [{tuple(shard.size): shard for shard in shards} for shards in shards_by_option]
        for option, shape in zip(sharding_options, shapes, strict=True):
            option.shards = list(shape.values())
        self._estimator.estimate(sharding_options, sharder_data_map)
        for option, shape, shards in zip(sharding_options, shapes, shards_by_option, strict=True):
            option.shards = shards
            for shard in shards:
                shard.perf = shape[tuple(shard.size)].perf


@dataclass
class BestRating:
    """Time of the best plan so far, which all proposers share."""

    rating: float = math.inf


@dataclass(frozen=True)
class _Cost:
    """Times of the shards of an option.

    Attributes:
        mean: of all ranks.
        everywhere: the least that it adds to each rank: 0 unless each rank gets one of its shards.
        somewhere: the least that it adds to some rank, beyond `everywhere`.
    """

    mean: float
    everywhere: float
    somewhere: float


class BoundedProposer(Proposer):
    """Proposals of another proposer, without those whose slowest rank is slower than that of the best plan so far.

    torchrec rates a plan by the time of its slowest rank. That is at least the mean of all ranks, and at least what
    each rank does for row-wise and replicated tables with the longest other shard. The plan is the same as without
    the bound: only a plan that is faster replaces another one.

    Args:
        proposer: must not depend on the rating of its proposals.
        num_ranks: number of ranks.
        best: updated with each plan.
    """

    def __init__(self, proposer: Proposer, num_ranks: int, best: BestRating) -> None:
        self._proposer, self._num_ranks, self._best = proposer, num_ranks, best
        self._costs: dict[int, _Cost] = {}

    def load(self, search_space: list[ShardingOption], enumerator: Enumerator | None = None) -> None:
        """Set the options; they must live as long as this object."""
        self._costs = {id(option): self._cost(option) for option in search_space}
        self._proposer.load(search_space, enumerator)

    def propose(self) -> list[ShardingOption] | None:
        """Return the next proposal that may be the best; None after the last one."""
        proposal = self._proposer.propose()
        while proposal and self._bound(proposal) * (1 - _ROUNDING) >= self._best.rating:
            self._proposer.feedback(partitionable=False)
            proposal = self._proposer.propose()
        return proposal

    def feedback(
        self,
        partitionable: bool,
        plan: list[ShardingOption] | None = None,
        perf_rating: float | None = None,
        storage_constraint: Topology | None = None,
    ) -> None:
        """Note the rating of the last proposal."""
        if perf_rating is not None:
            self._best.rating = min(self._best.rating, perf_rating)
        self._proposer.feedback(partitionable, plan, perf_rating, storage_constraint)

    def _bound(self, proposal: list[ShardingOption]) -> float:
        costs = [self._costs[id(option)] for option in proposal]
        everywhere = sum(cost.everywhere for cost in costs)
        return max(sum(cost.mean for cost in costs), everywhere + max(cost.somewhere for cost in costs))

    def _cost(self, option: ShardingOption) -> _Cost:
        times = [shard.perf.total for shard in option.shards if shard.perf]
        everywhere = min(times) if option.partition_by == PartitionByType.UNIFORM.value else 0.0
        return _Cost(sum(times) / self._num_ranks, everywhere, max(times) - everywhere)
