from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures import multi_task, reference
from tzrec.errors import ConfigError

PLAIN = "low_rank_dim: 1 dropout_ratio: 0"
TASKS = (
    multi_task.task_tower("ctr", mlp="hidden_units: [6, 4]", more=PLAIN)
    + multi_task.task_tower(
        "cart", mlp="hidden_units: 5", more='low_rank_dim: 2 dropout_ratio: 0 intervention_tower_names: "ctr"'
    )
    + multi_task.task_tower(
        "cvr", "buy", more='low_rank_dim: 3 dropout_ratio: 0 intervention_tower_names: ["cart", "ctr"]'
    )
)
NAMES = ["ctr", "cart", "cvr"]
SOURCES = {"ctr": [], "cart": ["ctr"], "cvr": ["cart", "ctr"]}


def gram_schmidt(columns: reference.Array) -> reference.Array:
    basis: list[reference.Array] = []
    for column in columns.T:
        rest = column - sum((column @ vector) * vector for vector in basis)
        basis.append(rest / np.sqrt(rest @ rest))
    return np.stack(basis, axis=1)


def naive(w: reference.Weights, x: reference.Array, num_expert: int) -> dict[str, reference.Array]:
    outputs: dict[str, reference.Array] = {}
    for index, (name, row) in enumerate(zip(NAMES, reference.bottom(w, x, 3, num_expert), strict=True)):
        base = reference.relu_layers(w, f"own.{index}", row)
        if SOURCES[name]:
            source = np.concatenate([outputs[source] for source in SOURCES[name]])
            to_base = gram_schmidt(w[f"interventions.{index}.base.weight"])
            to_source = gram_schmidt(w[f"interventions.{index}.source.weight"])
            base = base + to_base @ (to_base.T @ base - to_source.T @ source)
        outputs[name] = base
    return {name: reference.linear(w, f"linears.{index}", outputs[name]) for index, name in enumerate(NAMES)}


@pytest.mark.parametrize(
    ("shared", "num_expert"),
    [("", 0), ("bottom_mlp { hidden_units: 8 } expert_mlp { hidden_units: 6 } num_expert: 2 ", 2)],
)
def test_logits_equal_the_reference(shared: str, num_expert: int) -> None:
    model, _ = multi_task.build("dc2vr", shared + TASKS)
    with torch.no_grad():
        for name, parameter in model.interventions.named_parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # no longer orthogonal, as after a step of training
            assert name.endswith("weight")
    multi_task.assert_equals_reference(
        model, multi_task.random_groups(), lambda w, row: naive(w, row["all"], num_expert)
    )


def test_gradients_do_not_reach_the_towers_that_are_read() -> None:
    model, _ = multi_task.build("dc2vr", TASKS)
    model(multi_task.random_groups()).logits["cvr"].sum().backward()
    assert all(parameter.grad is None for parameter in model.own[0].parameters())
    assert all(parameter.grad is not None for parameter in model.interventions["2"].parameters())


def test_gradients_equal_finite_differences() -> None:
    """Finite differences also see detached paths, so the inputs of the tower that is read are frozen."""
    tanh = 'activation: "nn.Tanh"'
    read = 'low_rank_dim: 2 dropout_ratio: 0 intervention_tower_names: "a"'
    towers = multi_task.task_tower("a", more=PLAIN) + multi_task.task_tower(
        "b", mlp=f"hidden_units: 3 {tanh}", more=read
    )
    multi_task.assert_gradients_correct(multi_task.build("dc2vr", towers)[0], has_detached_inputs=True)


def test_exported_program_equals_the_model() -> None:
    multi_task.assert_exports(
        multi_task.build("dc2vr", "expert_mlp { hidden_units: 6 }" + TASKS)[0], multi_task.random_groups()
    )


def test_low_rank_dim_out_of_range_is_rejected() -> None:
    read = 'low_rank_dim: 7 intervention_tower_names: "a"'
    with pytest.raises(ConfigError, match=r"low_rank_dim.* 7 is not in \[1, 6\]"):
        multi_task.build("dc2vr", multi_task.task_tower("a", more=PLAIN) + multi_task.task_tower("b", more=read))


def test_half_precision_stays_near_float32() -> None:
    multi_task.assert_half_precision(multi_task.build("dc2vr", "expert_mlp { hidden_units: 6 }" + TASKS)[0])


def test_training_overfits_a_batch() -> None:
    model, heads = multi_task.build("dc2vr", "bottom_mlp { hidden_units: [64, 16] }" + TASKS)
    grouped = multi_task.random_groups(num_rows=256)
    multi_task.assert_overfits(model, heads, grouped, multi_task.click_and_buy_batch(grouped["all"]))
