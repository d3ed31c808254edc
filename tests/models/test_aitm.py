from __future__ import annotations

import numpy as np
import torch

from tests.models import multi_task as mt

TASKS = "".join(mt.tower(name, label, mlp="hidden_units: [6, 4]") for name, label in (("a", "clk"), ("b", "buy")))
TASKS += mt.tower("c", "buy", mlp="hidden_units: 4")
NAMES = ["a", "b", "c"]


def naive(w: mt.Weights, x: mt.Array) -> dict[str, mt.Array]:
    z = [mt.relu_layers(w, f"own.{step}", x) for step, x in enumerate(mt.bottom(w, x, 3))]
    for step in (1, 2):
        here = f"transfers.{step - 1}"
        parts = [np.maximum(mt.linear(w, f"{here}.info", z[step - 1]), 0), z[step]]
        scores = [mt.linear(w, f"{here}.key", u) @ mt.linear(w, f"{here}.query", u) / np.sqrt(4) for u in parts]
        z[step] = mt.mixed(np.array(scores), [mt.linear(w, f"{here}.value", u) for u in parts])
    logits = {name: mt.linear(w, f"linears.{step}", z[step]) for step, name in enumerate(NAMES)}
    p = [mt.sigmoid(each) for each in logits.values()]
    return {**logits, "behavioral_calibrator": np.maximum(p[1] - p[0], 0) + np.maximum(p[2] - p[1], 0)}


def test_equals_a_naive_loop() -> None:
    for bottom in ("", "bottom_mlp { hidden_units: 5 }"):
        model, _ = mt.build("aitm", bottom + TASKS)
        mt.check_rows(model, mt.inputs(), lambda w, row: naive(w, row["all"]))


def test_a_step_likelier_than_the_one_before_is_penalised() -> None:
    """p = 0.2, 0.5, 0.4 costs 0.3; p = 0.9, 0.5, 0.1 nothing; the weight is 0.6 unless another is given."""
    p = torch.tensor([[0.2, 0.5, 0.4], [0.9, 0.5, 0.1]])
    for text, factor in (("", 0.6), ("calibrator_weight: 2 ", 2.0)):
        model, tasks = mt.build("aitm", text + TASKS)
        with torch.no_grad():
            for linear in model.linears:
                linear.weight.zero_()
            for step, linear in enumerate(model.linears):
                linear.bias.copy_(torch.logit(p[0, step]))
        x = mt.inputs(rows=5)
        losses = tasks.losses(model(x), mt.path_batch(x["all"]))
        assert list(losses)[-1] == "behavioral_calibrator"
        torch.testing.assert_close(losses["behavioral_calibrator"].item(), 0.3 * factor)
        with torch.no_grad():
            for step, linear in enumerate(model.linears):
                linear.bias.copy_(torch.logit(p[1, step]))
        assert tasks.losses(model(x), mt.path_batch(x["all"]))["behavioral_calibrator"].item() == 0


def test_the_penalty_is_not_predicted() -> None:
    model, tasks = mt.build("aitm", TASKS)
    assert sorted(tasks.predict(model(mt.inputs()))) == sorted(f"{k}_{n}" for k in ("logits", "probs") for n in NAMES)


def test_gradients_equal_finite_differences() -> None:
    tanh = 'hidden_units: 3 activation: "nn.Tanh"'
    mt.check_gradients(mt.build("aitm", mt.tower("a", mlp=tanh) + mt.tower("b", mlp=tanh))[0])


def test_can_be_exported() -> None:
    mt.check_export(mt.build("aitm", TASKS)[0], mt.inputs())


def test_half_precision() -> None:
    mt.check_half_precision(mt.build("aitm", TASKS)[0])


def test_overfits() -> None:
    towers = mt.tower("a", mlp="hidden_units: 32") + mt.tower("b", "buy", mlp="hidden_units: 32")
    model, tasks = mt.build("aitm", "bottom_mlp { hidden_units: 32 }" + towers)
    grouped = mt.inputs(rows=256)
    mt.check_overfits(model, tasks, grouped, mt.path_batch(grouped["all"]))
