"""The search for a plan on CUDA finds that of torchrec's planner with its defaults."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchrec.distributed.planner import EmbeddingShardingPlanner
from torchrec.distributed.planner.proposers import GreedyProposer, UniformProposer
from torchrec.distributed.planner.types import Perf, Shard, ShardingOption

from tests.fixtures import toy_model as toy
from tests.tables.test_capacity import model_of
from tzrec.features.base import Table
from tzrec.tables import torchrec_planner
from tzrec.tables.capacity import plan_capacity
from tzrec.tables.cluster import Cluster
from tzrec.tables.plan_search import BestRating, BoundedProposer
from tzrec.tables.plan_summary import plan_json
from tzrec.tables.sharders import make_sharders
from tzrec.tables.sharding_plan import plan_sharding

MODELS = {
    "one": [Table("huge", 1_000_000_000, 64)],
    "uneven": [Table("odd", 1_000_003, 20), Table("tiny", 7, 4)],
    "many": [Table(f"t{i}", 3 * 10**i, 4 * (1 + i % 5)) for i in range(1, 8)],
}


class Rated(EmbeddingShardingPlanner):
    """torchrec's planner that keeps the plans it makes, with torchrec's costs."""

    plans: list[Any] = []  # noqa: RUF012 - emptied by each test

    def plan(self, *args: Any) -> Any:
        result = super().plan(*args)
        self.plans.append(self._best_plan)
        return result


def planned(model: nn.Module, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, is_default: bool) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(torchrec_planner, "EmbeddingShardingPlanner", Rated)
        Rated.plans.clear()
        if is_default:
            patch.setattr(torchrec_planner, "make_enumerator", lambda *arguments: None)
            patch.setattr(torchrec_planner, "make_proposers", lambda *arguments: None)
        train = toy.config("adagrad_optimizer").train_config
        return plan_sharding(model, train, cluster, make_sharders(train.sparse_optimizer))


@pytest.mark.parametrize("num_ranks", [1, 8, 24])
@pytest.mark.parametrize("name", MODELS)
def test_plan_equals_that_of_torchrecs_defaults(name: str, num_ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(num_ranks, min(num_ranks, 8), "cuda", 80 * 10**9, 10**12, batch_size=512)
    fast, slow = (planned(model_of(*MODELS[name]), cluster, monkeypatch, is_default) for is_default in (False, True))
    assert plan_json(fast) == plan_json(slow)
    assert str(fast) == str(slow)  # with all shards


def test_plan_of_a_billion_rows_on_512_ranks_has_torchrecs_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a minute; storage and times of each rank are those with which torchrec's own planner rates the plan."""
    tables = [Table("huge", 1_000_000_000, 64), Table("large", 30_000_000, 64), Table("small", 90_000, 16)]
    cluster = Cluster(512, 8, "cuda", 80 * 10**9, 10**12 // 8, batch_size=8)
    model, begin = model_of(*tables), time.process_time()
    plan = planned(model, cluster, monkeypatch, is_default=False)
    train = toy.config("adagrad_optimizer").train_config
    capacity = plan_capacity(model, plan, train, cluster, make_sharders(train.sparse_optimizer), {})
    assert time.process_time() - begin < 30
    stored, times = np.zeros(512), np.zeros(512)
    for option in Rated.plans[0]:
        for shard in option.shards:
            stored[shard.rank] += shard.storage.hbm
            times[shard.rank] += shard.perf.total + shard.perf.input_dist_comms
    np.testing.assert_allclose(capacity.lookup_ms + capacity.exchange_ms, times, rtol=1e-9)
    # torchrec adds the buffers of a batch of 8 rows
    np.testing.assert_allclose((capacity.weights + capacity.optimizer).sum(), stored.sum(), rtol=0.01)


def option(name: str, partition_by: str, *times: float) -> ShardingOption:
    shards = [Shard([1, 4], [0, 0], perf=Perf(time, 0, 0, 0)) for time in times]
    weight = torch.empty(1, 4, device="meta")
    return ShardingOption(name, weight, ("m", nn.Module()), [1.0], 8, "type", partition_by, "fused", shards)


@pytest.mark.parametrize(
    ("best", "names"),
    [
        # a: 4 on one of two ranks; b: 1 and 3 on each of them, and at least 1 beside a
        (9.0, ["a", "b"]),
        (5.1, ["a", "b"]),
        (4.9, None),  # less than 4 + 1
    ],
)
def test_proposal_that_cannot_be_the_best_is_left_out(best: float, names: list[str] | None) -> None:
    proposer = BoundedProposer(UniformProposer(), 2, BestRating(best))
    proposer.load([option("a", "device", 4.0), option("b", "uniform", 1.0, 3.0)])
    proposal = proposer.propose()
    assert (proposal and [option.name for option in proposal]) == names


def test_mean_of_ranks_bounds_a_proposal() -> None:
    """Three whole tables of 4 on two ranks take 6 in the mean."""
    best = BestRating()
    proposer = BoundedProposer(GreedyProposer(), 2, best)
    proposer.load([option(name, "device", 4.0) for name in "abc"])
    assert proposer.propose() is not None
    BoundedProposer(UniformProposer(), 2, best).feedback(partitionable=True, perf_rating=5.9)
    assert proposer.propose() is None
