"""Sharding plans: default rules, constraints of the config, plans of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from tests.fixtures import toy_model as toy
from tests.fixtures.feature_groups import make_feature, make_group
from tests.fixtures.toy_training import CASES, Case
from tzrec.config.options import is_fused, member_messages
from tzrec.config.schema import oneof_of
from tzrec.embedding.group import EmbeddingGroup
from tzrec.errors import ConfigError
from tzrec.features.base import Table
from tzrec.protos import optimizer_pb2 as pb
from tzrec.tables import sharding_plan
from tzrec.tables.cluster import Cluster
from tzrec.tables.plan_summary import plan_json
from tzrec.tables.sharders import BagSharder, SequenceSharder
from tzrec.tables.sharding_plan import plan_sharding

EBC = "emb_impls.__BASE__.ebc"


def group_of(*tables: Table, features: Mapping[str, Table] | None = None) -> EmbeddingGroup:
    tables_by_feature = features or {f"f{i}": table for i, table in enumerate(tables)}
    group_features = {name: make_feature(name, table) for name, table in tables_by_feature.items()}
    return EmbeddingGroup(group_features, [make_group("g", *group_features)], device=torch.device("meta"))


def planned(
    model: nn.Module,
    world: int,
    optimizer: str = "adagrad_optimizer",
    types: tuple[str, ...] = (),
    saved: Any = None,
) -> dict[str, tuple[str, str, list[int]]]:
    """Table -> sharding type, kernel and ranks, as if there were that many ranks."""
    config = toy.config(optimizer).train_config
    config.global_embedding_constraints.sharding_types.extend(types)
    plan = plan_json(plan_sharding(model, config, Cluster(world), [BagSharder(), SequenceSharder()], saved))
    return {name: tuple(facts.values()) for tables in plan.values() for name, facts in tables.items()}


def test_default_plan_on_one_rank_is_table_wise() -> None:
    model = group_of(Table("small", 10, 8), Table("big", 10_000_000, 16))
    expected = ("table_wise", "fused", [0])
    assert planned(model, 1) == {"small": expected, "big": expected}


def test_default_plan_on_two_ranks_depends_on_table_size() -> None:
    """One rank's share is 2.1 of 4.2 GB: "huge" (3.8 GB) is cut, "large" (0.4 GB) is not; "tiny" is replicated."""
    model = group_of(
        Table("tiny", 1000, 8),
        Table("large", 6_000_000, 16),
        Table("huge", 60_000_000, 16),
        Table("other", 6_000_000, 16),
    )
    assert planned(model, 2) == {
        "tiny": ("data_parallel", "dense", [0, 1]),
        "large": ("table_wise", "fused", [0]),
        "huge": ("row_wise", "fused", [0, 1]),
        "other": ("table_wise", "fused", [1]),
    }


def test_table_wise_tables_are_assigned_in_runs_of_equal_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """log2(1024) = 10 and log2(2^20) = 20 a value: work 20 20 10 10 10 10, half of it after two tables."""
    big, small = 2**20 - 1, 2**10 - 1
    model = group_of(*(Table(f"t{i}", rows, 8) for i, rows in enumerate([big, big, small, small, small, small])))
    monkeypatch.setattr(sharding_plan, "SMALL", 0)
    ranks = [facts[2][0] for facts in planned(model, 2).values()]
    assert ranks == [0, 0, 1, 1, 1, 1]


def test_constraints_of_table_override_global_constraints() -> None:
    model = group_of(
        Table("own", 5000, 16, sharding_types=("grid_shard",)), Table("common", 5000, 16), Table("narrow", 5000, 4)
    )
    assert planned(model, 2, types=("column_wise", "data_parallel")) == {
        "own": ("row_wise", "fused", [0, 1]),
        "common": ("column_wise", "fused", [0, 1]),
        "narrow": ("column_wise", "fused", [0]),  # 4 columns cannot be divided
    }


def test_kernel_depends_on_constraints_and_optimizer() -> None:
    model = group_of(
        Table("plain", 5000, 16, compute_kernels=("dense",)),
        Table("any", 5000, 16),
        Table("still", 5000, 16, trainable=False),
    )
    kernels = {name: facts[1] for name, facts in planned(model, 2).items()}
    assert kernels == {"plain": "dense", "any": "fused", "still": "fused"}
    kernels = {name: facts[1] for name, facts in planned(model, 2, "adam_optimizer").items()}
    assert kernels == {"plain": "dense", "any": "dense", "still": "fused"}


def test_saved_sharding_type_is_kept_where_allowed() -> None:
    saved = {EBC: {name: {"sharding_type": "row_wise"} for name in ("free", "bound")}}
    model = group_of(Table("free", 5000, 16), Table("bound", 5000, 16, sharding_types=("table_wise",)))
    types = {name: facts[0] for name, facts in planned(model, 2, saved=saved).items()}
    assert types == {"free": "row_wise", "bound": "table_wise"}


def test_mean_pooled_feature_with_two_tables_is_not_row_wise() -> None:
    features = {"f": make_feature("f", Table("t", 5000, 8, pooling="mean"))}
    groups = [make_group(name, "f", suffix=name) for name in "ab"]
    model = EmbeddingGroup(features, groups, device=torch.device("meta"))
    types = {name: facts[0] for name, facts in planned(model, 2, types=("row_wise",)).items()}
    assert types == {"t_a": "table_wise", "t_b": "table_wise"}


def test_all_problems_of_sharding_are_reported() -> None:
    model = group_of(
        Table("odd", 50, 10),
        Table("typo", 50, 8, sharding_types=("rowwise",)),
        Table("cut", 50, 8, sharding_types=("table_column_wise",)),
    )
    with pytest.raises(ConfigError) as caught:
        planned(model, 2, "rowwise_adagrad_optimizer")
    messages = [problem.message for problem in caught.value.problems]
    assert len(messages) == 3
    assert '"odd" has 10' in messages[0]
    assert '"rowwise"' in messages[1]
    assert '"cut" is column_wise' in messages[2]


def test_half_precision_without_fused_kernel_is_rejected() -> None:
    model = group_of(Table("short", 50, 8, data_type="FP16"))
    assert planned(model, 2) == {"short": ("table_wise", "fused", [1])}
    for optimizer, types in (("adam_optimizer", ()), ("adagrad_optimizer", ("data_parallel",))):
        with pytest.raises(ConfigError, match='table "short" is FP16'):
            planned(model, 2, optimizer, types)


@pytest.mark.parametrize("case", [case for case in CASES if len(case.types) == 1], ids=lambda case: case.name)
def test_two_ranks_follow_the_plan(case: Case, two: list[dict[str, Any]]) -> None:
    optimizer = member_messages(oneof_of(pb.SparseOptimizer, "optimizer"))[case.optimizer]
    fused = is_fused(optimizer, "cpu") and case.types != ("data_parallel",)
    ranks = {"table_wise": 1, "row_wise": 2, "column_wise": 2, "data_parallel": 2}[case.types[0]]
    facts = two[0][case.name]["plan"]["embedding_group.emb_impls.__BASE__.ebc"]["ids"]
    assert facts["sharding_type"] == case.types[0]
    assert facts["compute_kernel"] == ("fused" if fused else "dense")
    assert len(facts["ranks"]) == ranks
    assert two[0][case.name]["plan"] == two[1][case.name]["plan"]
