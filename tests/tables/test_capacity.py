"""Needs of a sharding plan on each rank: by hand, and compared with torchrec's estimates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torchrec.distributed.planner import ParameterConstraints
from torchrec.distributed.planner.enumerators import EmbeddingEnumerator

from tests.fixtures import toy_model as toy
from tests.fixtures.feature_groups import make_feature, make_group
from tzrec.embedding.group import EmbeddingGroup
from tzrec.features.base import Table
from tzrec.protos.train_pb2 import TrainConfig
from tzrec.tables.capacity import Capacity, PerRank, exchange_bytes, plan_capacity
from tzrec.tables.cluster import Cluster
from tzrec.tables.sharders import make_sharders
from tzrec.tables.sharding_plan import plan_sharding
from tzrec.tables.torchrec_planner import topology


def model_of(*tables: Table) -> nn.Module:
    features = {f"f{i}": make_feature(f"f{i}", table) for i, table in enumerate(tables)}
    return EmbeddingGroup(features, [make_group("g", *features)], device=torch.device("meta"))


def measured(
    model: nn.Module, cluster: Cluster, optimizer: str = "adagrad_optimizer", types: tuple[str, ...] = ()
) -> tuple[Capacity, TrainConfig, list[object]]:
    config = toy.config(optimizer).train_config
    config.global_embedding_constraints.sharding_types.extend(types)
    sharders = make_sharders(config.sparse_optimizer)
    plan = plan_sharding(model, config, cluster, sharders)
    return plan_capacity(model, plan, config, cluster, sharders, {}), config, sharders


@pytest.mark.parametrize(
    ("optimizer", "types", "weights", "state"),
    [
        # 1000 rows of 8 values on 4 ranks
        ("adagrad_optimizer", "row_wise", [8000] * 4, [8000] * 4),
        ("rowwise_adagrad_optimizer", "row_wise", [8000] * 4, [1000] * 4),
        ("sgd_optimizer", "row_wise", [8000] * 4, [0] * 4),
        ("adagrad_optimizer", "column_wise", [16000, 16000, 0, 0], [16000, 16000, 0, 0]),
        # all of it on each rank, with two moments and the gradient of the dense kernel
        ("adam_optimizer", "data_parallel", [32000] * 4, [96000] * 4),
    ],
)
def test_bytes_of_ranks_by_hand(optimizer: str, types: str, weights: list[int], state: list[int]) -> None:
    capacity, _, _ = measured(model_of(Table("t", 1000, 8)), Cluster(4), optimizer, (types,))
    assert capacity.weights.tolist() == weights
    assert capacity.optimizer.tolist() == state
    assert capacity.host.tolist() == [0] * 4


def exchange(sharding: str, is_trained: bool = True, is_pooled: bool = True) -> PerRank:
    """Bytes that each of 4 ranks on 2 hosts sends."""
    cluster = Cluster(4, ranks_per_host=2, batch_size=10)
    held = {"row_wise": [0.25] * 4, "table_row_wise": [0.5, 0.5, 0, 0], "column_wise": [0.5, 0.5, 0, 0]}
    part = np.array(held.get(sharding, [1.0, 0, 0, 0]))
    return exchange_bytes(sharding, cluster, 2, 8, 4000, is_trained, is_pooled, part)


@pytest.mark.parametrize(
    ("sharding", "expected"),
    [
        # 4 ranks in 2 hosts, 10 rows each, 2 ids and 8 values a row: 120 B of ids go to others, 320 B are a batch
        ("table_wise", 120 + 2 * 240),
        ("column_wise", 120 + 2 * 240),
        ("row_wise", 120 + 2 * 3 * 320),  # partial sums for each of the 3 other ranks
        ("table_row_wise", 120 + 2 * (320 + 160)),  # partial sums for 1 rank of the host, half of the rows elsewhere
        ("data_parallel", 2 * 0.75 * 4000),
    ],
)
def test_mean_exchange_by_hand(sharding: str, expected: float) -> None:
    assert exchange(sharding).mean() == pytest.approx(expected)


def test_exchange_of_each_rank_by_hand() -> None:
    """The holder of a table sends the vectors of the 30 rows of others; they send 160 B of ids and a gradient each."""
    assert exchange("table_wise").tolist() == [3 * 320, *[160 + 320] * 3]
    assert exchange("row_wise").tolist() == [120 + 2 * 3 * 320] * 4
    # rank 0 and 1 hold the table: half of the partial sums of all 40 rows go to the other one and to the other host
    assert exchange("table_row_wise").tolist() == [80 + 960 + 480] * 2 + [160 + 480] * 2


def test_frozen_table_sends_no_gradients() -> None:
    assert exchange("table_wise", is_trained=False).mean() == pytest.approx(120 + 240)
    assert exchange("data_parallel", is_trained=False).tolist() == [0] * 4


@pytest.mark.parametrize("sharding", ["table_wise", "row_wise", "table_row_wise"])
def test_vector_of_each_id_comes_from_one_rank(sharding: str) -> None:
    """Without pooling there are no partial sums: 3 of 4 ids, vectors and gradients are those of other ranks."""
    assert exchange(sharding, is_pooled=False).mean() == pytest.approx(120 + 2 * 240)


@pytest.mark.parametrize("num_ranks", [1, 8, 64])
def test_bytes_are_those_of_torchrec(num_ranks: int) -> None:
    """torchrec adds the buffers of a batch, here of 8 rows: under 1 % of these tables."""
    model = model_of(Table("huge", 20_000_000, 64), Table("large", 3_000_000, 64), Table("small", 300_000, 64))
    cluster = Cluster(num_ranks, device="cuda", memory=80 * 10**9, batch_size=8)
    capacity, _, sharders = measured(model, cluster)
    assert {table.kernel for table in capacity.tables} == {"fused"}
    expected = 0.0
    for table in capacity.tables:
        constraints = ParameterConstraints(sharding_types=[table.sharding], compute_kernels=[table.kernel])
        enumerator = EmbeddingEnumerator(topology(cluster), 8, {table.shared.table.name: constraints})
        options = enumerator.enumerate(model, sharders)  # type: ignore[arg-type]
        (option,) = (option for option in options if option.name == table.shared.table.name)
        expected += 2 * option.total_storage.hbm  # the state of Adagrad has the size of the table
    assert (capacity.weights + capacity.optimizer).sum() == pytest.approx(expected, rel=0.01)
    assert capacity.lookup_ms.max() > 0
    assert capacity.exchange_ms.max() > 0


def test_table_above_the_memory_of_gpus_is_counted_on_the_host() -> None:
    """25.6 GB with Adagrad's 25.6 on one GPU of 32 GB: a fifth is cached there, all of it is on the host."""
    cluster = Cluster(1, device="cuda", memory=32 * 10**9, host_memory=100 * 10**9, batch_size=8)
    capacity, _, _ = measured(model_of(Table("huge", 100_000_000, 64)), cluster)
    assert capacity.tables[0].kernel == "fused_uvm_caching"
    assert capacity.host.tolist() == [51.2e9]
    assert (capacity.weights + capacity.optimizer).tolist() == pytest.approx([0.2 * 51.2e9])
