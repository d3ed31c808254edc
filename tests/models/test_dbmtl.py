from __future__ import annotations

import numpy as np
import pytest

from tests.models import multi_task as mt

MLP = "hidden_units: [6, 3]"
RELATED = "relation_mlp { hidden_units: 4 }"
TASKS = (
    mt.tower("ctr", mlp=MLP)
    + mt.tower("cart", "clk", mlp="hidden_units: 2", more=f'relation_tower_names: "ctr" {RELATED}')
    + mt.tower("cvr", "buy", more='relation_tower_names: ["cart", "ctr"]')
)
NAMES = ["ctr", "cart", "cvr"]
SOURCES = {"ctr": [], "cart": ["ctr"], "cvr": ["cart", "ctr"]}


def naive(w: mt.Weights, x: mt.Array, num_expert: int) -> dict[str, mt.Array]:
    related: dict[str, mt.Array] = {}
    for place, (name, row) in enumerate(zip(NAMES, mt.bottom(w, x, 3, num_expert), strict=True)):
        own = mt.relu_layers(w, f"own.{place}", row)
        joined = np.concatenate([own, *(related[source] for source in SOURCES[name])])
        related[name] = mt.relu_layers(w, f"relations.{place}", joined)
    return {name: mt.linear(w, f"linears.{place}", related[name]) for place, name in enumerate(NAMES)}


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
def test_equals_a_naive_loop(shared: str, num_expert: int) -> None:
    model, _ = mt.build("dbmtl", shared + TASKS)
    mt.check_rows(model, mt.inputs(), lambda w, row: naive(w, row["all"], num_expert))


def test_a_mask_net_comes_first() -> None:
    """The model is that without mask_net, on what its own MaskNet, tested in its room, makes of the features."""
    block = "n_mask_blocks: 2 mask_block { hidden_dim: 5 } top_mlp { hidden_units: 6 }"
    model, _ = mt.build("dbmtl", f"mask_net {{ {block} }} bottom_mlp {{ hidden_units: 4 }} {TASKS}")
    plain, _ = mt.build("dbmtl", f"bottom_mlp {{ hidden_units: 4 }} {TASKS}", {"all": [6]})
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("mask_net.")})
    x = mt.inputs()["all"]
    masked = model.mask_net(x)
    assert masked.shape == (11, 6) and masked.abs().max() > 0
    for expected, received in zip(plain({"all": masked}).values(), model({"all": x}).values(), strict=True):
        assert np.array_equal(expected.detach(), received.detach())


def test_gradients_equal_finite_differences() -> None:
    tanh = 'activation: "nn.Tanh"'
    related = f'relation_tower_names: "a" relation_mlp {{ hidden_units: 2 {tanh} }}'
    towers = mt.tower("a", mlp=f"hidden_units: 2 {tanh}") + mt.tower("b", more=related)
    mt.check_gradients(mt.build("dbmtl", f"expert_mlp {{ hidden_units: 2 {tanh} }} num_expert: 2 {towers}")[0])


def test_can_be_exported() -> None:
    mt.check_export(mt.build("dbmtl", "expert_mlp { hidden_units: 5 }" + TASKS)[0], mt.inputs())


def test_half_precision() -> None:
    mt.check_half_precision(mt.build("dbmtl", "expert_mlp { hidden_units: 5 }" + TASKS)[0])


def test_overfits() -> None:
    model, tasks = mt.build("dbmtl", "bottom_mlp { hidden_units: 32 } expert_mlp { hidden_units: 16 }" + TASKS)
    grouped = mt.inputs(rows=256)
    mt.check_overfits(model, tasks, grouped, mt.path_batch(grouped["all"]))
