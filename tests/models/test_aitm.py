from __future__ import annotations

import numpy as np
import torch

from tests.fixtures import multi_task, reference

TASKS = "".join(
    multi_task.task_tower(name, label, mlp="hidden_units: [6, 4]") for name, label in (("a", "clk"), ("b", "buy"))
)
TASKS += multi_task.task_tower("c", "buy", mlp="hidden_units: 4")
NAMES = ["a", "b", "c"]


def naive(w: reference.Weights, x: reference.Array) -> dict[str, reference.Array]:
    z = [reference.relu_layers(w, f"own.{step}", x) for step, x in enumerate(reference.bottom(w, x, 3))]
    for step in (1, 2):
        transfer = f"transfers.{step - 1}"
        parts = [np.maximum(reference.linear(w, f"{transfer}.info", z[step - 1]), 0), z[step]]
        scores = [
            reference.linear(w, f"{transfer}.key", u) @ reference.linear(w, f"{transfer}.query", u) / np.sqrt(4)
            for u in parts
        ]
        z[step] = reference.softmax_mixture(
            np.array(scores), [reference.linear(w, f"{transfer}.value", u) for u in parts]
        )
    logits = {name: reference.linear(w, f"linears.{step}", z[step]) for step, name in enumerate(NAMES)}
    p = [reference.sigmoid(logit) for logit in logits.values()]
    return {**logits, "behavioral_calibrator": (np.maximum(p[1] - p[0], 0) + np.maximum(p[2] - p[1], 0)).item()}


def test_logits_equal_the_reference() -> None:
    for bottom in ("", "bottom_mlp { hidden_units: 5 }"):
        model, _ = multi_task.build("aitm", bottom + TASKS)
        multi_task.assert_equals_reference(model, multi_task.random_groups(), lambda w, row: naive(w, row["all"]))


def test_calibrator_penalizes_a_step_likelier_than_the_one_before() -> None:
    """p = 0.2, 0.5, 0.4 costs 0.3; p = 0.9, 0.5, 0.1 nothing; the default weight is 0.6."""
    p = torch.tensor([[0.2, 0.5, 0.4], [0.9, 0.5, 0.1]])
    for text, factor in (("", 0.6), ("calibrator_weight: 2 ", 2.0)):
        model, heads = multi_task.build("aitm", text + TASKS)
        with torch.no_grad():
            for linear in model.linears:
                linear.weight.zero_()
            for step, linear in enumerate(model.linears):
                linear.bias.copy_(torch.logit(p[0, step]))
        x = multi_task.random_groups(num_rows=5)
        losses = multi_task.compute_losses(heads, model(x), multi_task.click_and_buy_batch(x["all"]))
        assert list(losses)[-1] == "behavioral_calibrator"
        torch.testing.assert_close(losses["behavioral_calibrator"].item(), 0.3 * factor)
        with torch.no_grad():
            for step, linear in enumerate(model.linears):
                linear.bias.copy_(torch.logit(p[1, step]))
        assert (
            multi_task.compute_losses(heads, model(x), multi_task.click_and_buy_batch(x["all"]))[
                "behavioral_calibrator"
            ].item()
            == 0
        )


def test_calibrator_is_not_predicted() -> None:
    model, heads = multi_task.build("aitm", TASKS)
    assert sorted(heads.predict(model(multi_task.random_groups()).logits)) == sorted(
        f"{k}_{n}" for k in ("logits", "probs") for n in NAMES
    )


def test_gradients_equal_finite_differences() -> None:
    tanh = 'hidden_units: 3 activation: "nn.Tanh"'
    multi_task.assert_gradients_correct(
        multi_task.build("aitm", multi_task.task_tower("a", mlp=tanh) + multi_task.task_tower("b", mlp=tanh))[0]
    )


def test_exported_program_equals_the_model() -> None:
    multi_task.assert_exports(multi_task.build("aitm", TASKS)[0], multi_task.random_groups())


def test_half_precision_stays_near_float32() -> None:
    multi_task.assert_half_precision(multi_task.build("aitm", TASKS)[0])


def test_training_overfits_a_batch() -> None:
    towers = multi_task.task_tower("a", mlp="hidden_units: 32") + multi_task.task_tower(
        "b", "buy", mlp="hidden_units: 32"
    )
    model, heads = multi_task.build("aitm", "bottom_mlp { hidden_units: 32 }" + towers)
    grouped = multi_task.random_groups(num_rows=256)
    multi_task.assert_overfits(model, heads, grouped, multi_task.click_and_buy_batch(grouped["all"]))
