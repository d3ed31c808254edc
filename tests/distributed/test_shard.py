"""Training on one rank, and on two ranks with half of the batch each, compared with formulas."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torchrec.distributed.planner.types import PlannerError

from tests.fixtures import toy_model as toy
from tests.fixtures.toy_training import CASES, SCALED, Case, Run, merge_shards
from tzrec.distributed import shard as shard_module
from tzrec.distributed.shard import dense_parameters
from tzrec.errors import ConfigError
from tzrec.tables.lookup_kernel import lookup_kernels
from tzrec.tables.sharders import LocalBags, LocalSequences


@cache
def reference(optimizer: str, fields: tuple[tuple[str, float], ...]) -> tuple[list[float], toy.Reference]:
    expected = toy.Reference(optimizer, **dict(fields))
    losses = [expected.step(rows, toy.rate(i)) for i, rows in enumerate(toy.global_batches())]
    return losses, expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_training_on_two_ranks_equals_formulas(case: Case, two: list[dict[str, Any]]) -> None:
    losses, expected = reference(case.optimizer, tuple(case.fields.items()))
    assert two[0][case.name]["losses"] == pytest.approx(losses, abs=1e-5)
    tables = merge_shards([shard for rank in two for shard in rank[case.name]["last"]])
    for name, table in tables.items():
        torch.testing.assert_close(table.double(), expected.tables[name], rtol=0, atol=2e-5)


@pytest.mark.parametrize("optimizer", sorted({case.optimizer for case in CASES if not case.fields}))
def test_training_on_one_rank_equals_formulas(optimizer: str, one: dict[str, Any]) -> None:
    losses, expected = reference(optimizer, ())
    assert one[optimizer]["losses"] == pytest.approx(losses, abs=1e-5)
    for name, table in one[optimizer]["tables"].items():
        torch.testing.assert_close(table.double(), expected.tables[name], rtol=0, atol=2e-5)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_initialization_does_not_depend_on_sharding(case: Case, two: list[dict[str, Any]]) -> None:
    tables = merge_shards([shard for rank in two for shard in rank[case.name]["first"]])
    for name, table in tables.items():
        assert torch.equal(table, toy.first_table(name))


def test_clipping_in_reference_changes_tables() -> None:
    """The clipped cases above would prove nothing if no gradient reached the bound."""
    (_, free), (_, clipped) = (reference("sgd_optimizer", fields) for fields in ((), (("max_gradient", 0.002),)))
    assert (free.tables["ids"] - clipped.tables["ids"]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["default", "table_wise"])
def test_forward_passes_without_backward_change_nothing(name: str, two: list[dict[str, Any]]) -> None:
    assert two[0][f"{name} paused"] == two[0][name]["losses"][:3]


@pytest.mark.parametrize("name", SCALED)
def test_loss_scale_does_not_change_training(name: str, two: list[dict[str, Any]]) -> None:
    """A power of two changes no bit, before gradients are clipped as well; bags, sequences and replicated tables."""
    assert two[0][f"{name} scaled"] == two[0][name]["losses"][:3]


def test_overflow_on_one_rank_skips_step_on_all(two: list[dict[str, Any]]) -> None:
    assert [rank["overflow"] for rank in two] == [[False, 512.0], [False, 512.0]]


def test_frozen_table_does_not_change(two: list[dict[str, Any]]) -> None:
    last = merge_shards([shard for rank in two for shard in rank["default"]["last"]])
    assert torch.equal(last["e_emb"], toy.first_table("e_emb"))
    assert not torch.equal(last["ids"], toy.first_table("ids"))


def test_one_rank_uses_local_collections(alone: None) -> None:
    run = Run(Case("one", "adagrad_optimizer"))
    impl = run.model.module.embedding_group.emb_impls["__BASE__"]
    assert isinstance(impl.ebc, LocalBags)
    assert isinstance(impl.weighted_ebc, LocalBags)
    sequences = run.model.module.embedding_group.seq_emb_impls["__BASE__"].ec_dict.values()
    assert [type(collection) for collection in sequences] == [LocalSequences] * 2
    assert not isinstance(run.model._dmp_wrapped_module, torch.nn.parallel.DistributedDataParallel)


SOFT = [f"embedding_group.dense_impls.embeddings.0.{name}" for name in ("scale", "mix", "vectors")]
DENSE = [*SOFT, "linear.weight", "linear.bias"]


def test_dense_parameters_exclude_tables(alone: None) -> None:
    run = Run(Case("one", "adagrad_optimizer"))
    assert [name for name, _ in dense_parameters(run.model)] == DENSE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_ranks_have_the_same_dense_parameters(case: Case, two: list[dict[str, Any]]) -> None:
    """Also one that holds nothing of a collection, whose only table is on the other rank."""
    assert [rank[case.name]["dense"] for rank in two] == [DENSE, DENSE]


def test_id_out_of_range_raises(alone: None) -> None:
    run = Run(Case("one", "adagrad_optimizer"))
    rows = next(toy.global_batches())
    rows.ids["a"][0], rows.weights["a"][0] = [50], [1.0]
    with pytest.raises(RuntimeError, match="num_rows"):
        run.model(rows.batch())


def test_kernels_of_adam_are_dense_except_for_frozen_tables(alone: None) -> None:
    is_fused = {
        kernel.parameter_name(table): kernel.fused
        for kernel in lookup_kernels(Run(Case("x", "adam_optimizer")).model.module)
        for table, _ in kernel.shards
    }
    prefix = "embedding_group.emb_impls.__BASE__."
    assert is_fused[f"{prefix}ebc.embedding_bags.ids.weight"] is False
    assert is_fused[f"{prefix}ebc.embedding_bags.e_emb.weight"] is True  # frozen: fused at rate 0
    assert is_fused[f"{prefix}weighted_ebc.embedding_bags.d_emb.weight"] is False


@pytest.mark.parametrize("optimizer", ["adagrad_optimizer", "adam_optimizer"])
def test_frozen_sequence_table_does_not_change(optimizer: str, alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside one of the same width that learns."""
    monkeypatch.setitem(toy.TABLES, "s", replace(toy.TABLES["s"], trainable=False))
    run = Run(Case("one", optimizer))
    run.train(2)
    last = {name: value for name, _, _, value in run.shards()}
    assert torch.equal(last["s_emb"], toy.first_table("s_emb"))
    assert not torch.equal(last["t_emb"], toy.first_table("t_emb"))


@pytest.mark.usefixtures("alone")
def test_tables_without_plan_are_a_problem_of_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchrec's planner decides on CUDA; its error has a page of text, of which the first line is kept."""

    def fail(*arguments: object) -> None:
        raise PlannerError("Unable to find a plan because of insufficient storage.\nPlanner evaluated 9 proposals.")

    monkeypatch.setattr(shard_module, "plan_sharding", fail)
    with pytest.raises(
        ConfigError, match=r"the tables do not fit: tables of .* of optimizer state on 1 ranks"
    ) as error:
        Run(Case("one", "adagrad_optimizer"))
    (problem,) = error.value.problems
    assert "What helps: use rowwise_adagrad_optimizer, which stores" in problem.message
    assert problem.message.endswith("torchrec: Unable to find a plan because of insufficient storage.")
