from __future__ import annotations

import pytest

from tests.models import multi_task as mt

MLP = "hidden_units: [6, 3]"
TASKS = mt.tower("ctr", mlp=MLP) + mt.tower("cvr", "buy")


@pytest.mark.parametrize("bottom", ["", "bottom_mlp { hidden_units: [8, 5] }"])
def test_equals_a_naive_loop(bottom: str) -> None:
    model, _ = mt.build("simple_multi_task", bottom + TASKS)

    def naive(w: mt.Weights, row: dict[str, mt.Array]) -> dict[str, mt.Array]:
        return mt.towers(w, ["ctr", "cvr"], mt.bottom(w, row["all"], 2))

    assert any(name.startswith("bottom") for name in model.state_dict()) == bool(bottom)
    mt.check_rows(model, mt.inputs(), naive)


def test_gradients_equal_finite_differences() -> None:
    tanh = 'activation: "nn.Tanh"'
    towers = mt.tower("a", mlp=f"hidden_units: 2 {tanh}") + mt.tower("b")
    mt.check_gradients(mt.build("simple_multi_task", f"bottom_mlp {{ hidden_units: 3 {tanh} }} {towers}")[0])


def test_can_be_exported() -> None:
    mt.check_export(mt.build("simple_multi_task", f"bottom_mlp {{ hidden_units: 3 }} {TASKS}")[0], mt.inputs())


def test_half_precision() -> None:
    mt.check_half_precision(mt.build("simple_multi_task", f"bottom_mlp {{ hidden_units: 3 }} {TASKS}")[0])


def test_overfits() -> None:
    model, tasks = mt.build("simple_multi_task", f"bottom_mlp {{ hidden_units: 64 }} {TASKS}")
    grouped = mt.inputs(rows=256)
    mt.check_overfits(model, tasks, grouped, mt.path_batch(grouped["all"]))
