from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models import multi_task as mt
from tzrec.errors import ConfigError

PLAIN = "low_rank_dim: 1 dropout_ratio: 0"
TASKS = (
    mt.tower("ctr", mlp="hidden_units: [6, 4]", more=PLAIN)
    + mt.tower("cart", mlp="hidden_units: 5", more='low_rank_dim: 2 dropout_ratio: 0 intervention_tower_names: "ctr"')
    + mt.tower("cvr", "buy", more='low_rank_dim: 3 dropout_ratio: 0 intervention_tower_names: ["cart", "ctr"]')
)
NAMES = ["ctr", "cart", "cvr"]
SOURCES = {"ctr": [], "cart": ["ctr"], "cvr": ["cart", "ctr"]}


def gram_schmidt(columns: mt.Array) -> mt.Array:
    found: list[mt.Array] = []
    for column in columns.T:
        rest = column - sum((column @ each) * each for each in found)
        found.append(rest / np.sqrt(rest @ rest))
    return np.stack(found, axis=1)


def naive(w: mt.Weights, x: mt.Array, num_expert: int) -> dict[str, mt.Array]:
    outputs: dict[str, mt.Array] = {}
    for place, (name, row) in enumerate(zip(NAMES, mt.bottom(w, x, 3, num_expert), strict=True)):
        base = mt.relu_layers(w, f"own.{place}", row)
        if SOURCES[name]:
            source = np.concatenate([outputs[each] for each in SOURCES[name]])
            to_base = gram_schmidt(w[f"interventions.{place}.base.weight"])
            to_source = gram_schmidt(w[f"interventions.{place}.source.weight"])
            base = base + to_base @ (to_base.T @ base - to_source.T @ source)
        outputs[name] = base
    return {name: mt.linear(w, f"linears.{place}", outputs[name]) for place, name in enumerate(NAMES)}


@pytest.mark.parametrize(
    ("shared", "num_expert"),
    [("", 0), ("bottom_mlp { hidden_units: 8 } expert_mlp { hidden_units: 6 } num_expert: 2 ", 2)],
)
def test_equals_a_naive_loop(shared: str, num_expert: int) -> None:
    model, _ = mt.build("dc2vr", shared + TASKS)
    with torch.no_grad():
        for name, parameter in model.interventions.named_parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # no longer orthogonal, as after a step of training
            assert name.endswith("weight")
    mt.check_rows(model, mt.inputs(), lambda w, row: naive(w, row["all"], num_expert))


def test_nothing_flows_back_into_the_towers_that_are_read() -> None:
    model, _ = mt.build("dc2vr", TASKS)
    model(mt.inputs())["cvr"].sum().backward()
    assert all(parameter.grad is None for parameter in model.own[0].parameters())
    assert all(parameter.grad is not None for parameter in model.interventions["2"].parameters())


def test_gradients_equal_finite_differences() -> None:
    """Where a path is cut on purpose finite differences see what gradients do not: one tower is read, and frozen."""
    tanh = 'activation: "nn.Tanh"'
    read = 'low_rank_dim: 2 dropout_ratio: 0 intervention_tower_names: "a"'
    towers = mt.tower("a", more=PLAIN) + mt.tower("b", mlp=f"hidden_units: 3 {tanh}", more=read)
    mt.check_gradients(mt.build("dc2vr", towers)[0], detached=True)


def test_can_be_exported() -> None:
    mt.check_export(mt.build("dc2vr", "expert_mlp { hidden_units: 6 }" + TASKS)[0], mt.inputs())


def test_a_rank_that_does_not_fit() -> None:
    read = 'low_rank_dim: 7 intervention_tower_names: "a"'
    with pytest.raises(ConfigError, match=r"low_rank_dim.* 7 is not in \[1, 6\]"):
        mt.build("dc2vr", mt.tower("a", more=PLAIN) + mt.tower("b", more=read))


def test_half_precision() -> None:
    mt.check_half_precision(mt.build("dc2vr", "expert_mlp { hidden_units: 6 }" + TASKS)[0])


def test_overfits() -> None:
    model, tasks = mt.build("dc2vr", "bottom_mlp { hidden_units: [64, 16] }" + TASKS)
    grouped = mt.inputs(rows=256)
    mt.check_overfits(model, tasks, grouped, mt.path_batch(grouped["all"]))
