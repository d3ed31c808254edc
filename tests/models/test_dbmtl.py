from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import multi_task, reference

MLP = "hidden_units: [6, 3]"
RELATED = "relation_mlp { hidden_units: 4 }"
TASKS = (
    multi_task.task_tower("ctr", mlp=MLP)
    + multi_task.task_tower("cart", "clk", mlp="hidden_units: 2", more=f'relation_tower_names: "ctr" {RELATED}')
    + multi_task.task_tower("cvr", "buy", more='relation_tower_names: ["cart", "ctr"]')
)
NAMES = ["ctr", "cart", "cvr"]
SOURCES = {"ctr": [], "cart": ["ctr"], "cvr": ["cart", "ctr"]}


def naive(w: reference.Weights, x: reference.Array, num_expert: int) -> dict[str, reference.Array]:
    related: dict[str, reference.Array] = {}
    for index, (name, row) in enumerate(zip(NAMES, reference.bottom(w, x, 3, num_expert), strict=True)):
        own = reference.relu_layers(w, f"own.{index}", row)
        joined = np.concatenate([own, *(related[source] for source in SOURCES[name])])
        related[name] = reference.relu_layers(w, f"relations.{index}", joined)
    return {name: reference.linear(w, f"linears.{index}", related[name]) for index, name in enumerate(NAMES)}


@pytest.mark.parametrize(
    ("shared", "num_expert"),
    [
        ("", 0),
        ("bottom_mlp { hidden_units: [8, 5] }", 0),
        ("expert_mlp { hidden_units: [8, 5] }", 3),
        ("bottom_mlp { hidden_units: 6 } expert_mlp { hidden_units: 5 } num_expert: 2 gate_mlp { hidden_units: 4 }", 2),
    ],
    ids=["towers alone", "bottom", "experts", "bottom and experts"],
)
def test_logits_equal_the_reference(shared: str, num_expert: int) -> None:
    model, _ = multi_task.build("dbmtl", shared + TASKS)
    multi_task.assert_equals_reference(
        model, multi_task.random_groups(), lambda w, row: naive(w, row["all"], num_expert)
    )


def test_mask_net_is_applied_before_the_towers() -> None:
    """The model equals one without mask_net on the output of MaskNetModule, which has its own test."""
    block = "n_mask_blocks: 2 mask_block { hidden_dim: 5 } top_mlp { hidden_units: 6 }"
    model, _ = multi_task.build("dbmtl", f"mask_net {{ {block} }} bottom_mlp {{ hidden_units: 4 }} {TASKS}")
    plain, _ = multi_task.build("dbmtl", f"bottom_mlp {{ hidden_units: 4 }} {TASKS}", {"all": [6]})
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("mask_net.")})
    x = multi_task.random_groups()["all"]
    masked = model.mask_net(x)
    assert masked.shape == (11, 6) and masked.abs().max() > 0
    outputs = plain({"all": masked}).logits, model({"all": x}).logits
    for expected, received in zip(*(logits.values() for logits in outputs), strict=True):
        assert np.array_equal(expected.detach(), received.detach())


def test_gradients_equal_finite_differences() -> None:
    tanh = 'activation: "nn.Tanh"'
    related = f'relation_tower_names: "a" relation_mlp {{ hidden_units: 2 {tanh} }}'
    towers = multi_task.task_tower("a", mlp=f"hidden_units: 2 {tanh}") + multi_task.task_tower("b", more=related)
    multi_task.assert_gradients_correct(
        multi_task.build("dbmtl", f"expert_mlp {{ hidden_units: 2 {tanh} }} num_expert: 2 {towers}")[0]
    )


def test_exported_program_equals_the_model() -> None:
    multi_task.assert_exports(
        multi_task.build("dbmtl", "expert_mlp { hidden_units: 5 }" + TASKS)[0], multi_task.random_groups()
    )


def test_half_precision_stays_near_float32() -> None:
    multi_task.assert_half_precision(multi_task.build("dbmtl", "expert_mlp { hidden_units: 5 }" + TASKS)[0])


def test_training_overfits_a_batch() -> None:
    model, heads = multi_task.build("dbmtl", "bottom_mlp { hidden_units: 32 } expert_mlp { hidden_units: 16 }" + TASKS)
    grouped = multi_task.random_groups(num_rows=256)
    multi_task.assert_overfits(model, heads, grouped, multi_task.click_and_buy_batch(grouped["all"]))
