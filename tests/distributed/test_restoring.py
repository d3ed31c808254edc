"""Checkpoints restored bit for bit with another number of ranks or another sharding type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.distributed.test_shard import reference
from tests.fixtures import toy_model as toy
from tests.fixtures.toy_training import CASES, MOVES, Case, Run, merge_shards

SAVED = [case for case in CASES if len(case.types) == 1]


@pytest.mark.parametrize("case", [case for case in SAVED if not case.fields], ids=lambda case: case.name)
def test_two_ranks_restore_checkpoint_of_one_rank(case: Case, one: dict[str, Any], two: list[dict[str, Any]]) -> None:
    tables = merge_shards(shard for rank in two for shard in rank[case.name]["restored"])
    for name, table in one[case.optimizer]["tables"].items():
        assert torch.equal(tables[name], table)
    assert two[0][case.name]["resumed"] == pytest.approx(one[case.optimizer]["more"], abs=1e-5)


@pytest.mark.parametrize("case", SAVED, ids=lambda case: case.name)
def test_one_rank_restores_checkpoint_of_two_ranks(
    case: Case, directory: Path, two: list[dict[str, Any]], alone: None
) -> None:
    run = Run(Case("one", case.optimizer, (), case.fields))
    run.load(directory / case.name)
    tables = merge_shards(shard for rank in two for shard in rank[case.name]["last"])
    for name, _, _, value in run.shards():
        assert torch.equal(value, tables[name])
    _, formulas = reference(case.optimizer, tuple(case.fields.items()))
    for name, value in run.sparse.state().items():
        table, key = name.split(".")[-3], name.split(".")[-1]
        actual = value.local_shards()[0].tensor if hasattr(value, "local_shards") else value
        expected = torch.tensor(toy.STEPS) if key == "step" else formulas.state[table][key].float()
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6, check_dtype=False)


@pytest.mark.parametrize(("source", "target"), MOVES)
def test_checkpoint_is_restored_into_other_sharding_type(source: str, target: str, two: list[dict[str, Any]]) -> None:
    moved = merge_shards(shard for rank in two for shard in rank[f"{source} to {target}"])
    for name, table in merge_shards(shard for rank in two for shard in rank[source]["last"]).items():
        assert torch.equal(moved[name], table)


def test_state_names_are_those_of_unsharded_model(alone: None) -> None:
    run = Run(Case("one", "adagrad_optimizer"))
    state, prefix = run.state(), "embedding_group.emb_impls.__BASE__."
    steps = "embedding_group.seq_emb_impls.__BASE__.ec_dict"
    tables = [
        *(f"{prefix}ebc.embedding_bags.{name}.weight" for name in ("b_emb", "ids", "e_emb")),
        *(f"{prefix}weighted_ebc.embedding_bags.{name}.weight" for name in ("d_emb", "f_emb")),
        *(f"{steps}.8.embeddings.{name}.weight" for name in ("s_emb", "t_emb")),
        f"{steps}.4.embeddings.u_emb.weight",
    ]
    soft = {f"embedding_group.dense_impls.embeddings.0.{name}" for name in ("scale", "mix", "vectors")}
    assert set(state["model"]) == {*tables, *soft, "linear.weight", "linear.bias"}
    assert set(state["optimizer"]) == {f"{name}.momentum1" for name in tables if "e_emb" not in name}
