from __future__ import annotations

import pytest

from tests.fixtures import multi_task, reference

MLP = "hidden_units: [6, 3]"
TASKS = multi_task.task_tower("ctr", mlp=MLP) + multi_task.task_tower("cvr", "buy")


@pytest.mark.parametrize("bottom", ["", "bottom_mlp { hidden_units: [8, 5] }"])
def test_logits_equal_the_reference(bottom: str) -> None:
    model, _ = multi_task.build("simple_multi_task", bottom + TASKS)

    def naive(w: reference.Weights, row: dict[str, reference.Array]) -> dict[str, reference.Array]:
        return reference.towers(w, ["ctr", "cvr"], reference.bottom(w, row["all"], 2))

    assert any(name.startswith("bottom") for name in model.state_dict()) == bool(bottom)
    multi_task.assert_equals_reference(model, multi_task.random_groups(), naive)


def test_gradients_equal_finite_differences() -> None:
    tanh = 'activation: "nn.Tanh"'
    towers = multi_task.task_tower("a", mlp=f"hidden_units: 2 {tanh}") + multi_task.task_tower("b")
    multi_task.assert_gradients_correct(
        multi_task.build("simple_multi_task", f"bottom_mlp {{ hidden_units: 3 {tanh} }} {towers}")[0]
    )


def test_exported_program_equals_the_model() -> None:
    multi_task.assert_exports(
        multi_task.build("simple_multi_task", f"bottom_mlp {{ hidden_units: 3 }} {TASKS}")[0],
        multi_task.random_groups(),
    )


def test_half_precision_stays_near_float32() -> None:
    multi_task.assert_half_precision(
        multi_task.build("simple_multi_task", f"bottom_mlp {{ hidden_units: 3 }} {TASKS}")[0]
    )


def test_training_overfits_a_batch() -> None:
    model, heads = multi_task.build("simple_multi_task", f"bottom_mlp {{ hidden_units: 64 }} {TASKS}")
    grouped = multi_task.random_groups(num_rows=256)
    multi_task.assert_overfits(model, heads, grouped, multi_task.click_and_buy_batch(grouped["all"]))
