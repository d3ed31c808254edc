from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models import multi_task as mt
from tzrec.errors import DataError
from tzrec.heads.eval_metrics import EvalMetrics

LAYERS = "epnet_hidden_unit: 3 ppnet_hidden_units: [8, 5] epnet_gamma: 1.5 ppnet_gamma: 3 "
TASKS = mt.tower("ctr", mlp="hidden_units: 4", more="metrics { auc { thresholds: 0 } }") + mt.tower("cvr", "buy")
NAMES = ["ctr", "cvr"]
DIMS = {"all": 7, "domain": 2, "uia": 3}


def build(fields: str, dims: dict[str, int] = DIMS) -> tuple:
    return mt.build("pepnet", fields + TASKS, {name: [width] for name, width in dims.items()})


def gate(w: mt.Weights, prefix: str, x: mt.Array, gamma: float) -> mt.Array:
    hidden = mt.relu_layers(w, f"{prefix}.hidden", x)
    return gamma * mt.sigmoid(mt.linear(w, f"{prefix}.out", hidden))


def naive(w: mt.Weights, row: dict[str, mt.Array], domains: int = 1) -> dict[str, mt.Array]:
    raw = x = row["all"]
    if "domain" in row:
        x = x * gate(w, "epnet", np.concatenate([row["domain"], raw]), 1.5)
    known = np.concatenate([row["uia"], raw]) if "uia" in row else raw
    hidden = []
    for task in range(2):
        h = x
        for layer in range(2):
            h = mt.relu_layers(w, f"ppnets.{task}.layers.{layer}", h)
            h = h * gate(w, f"ppnets.{task}.gates.{layer}", known, 3)
        hidden.append(h)
    each = [mt.towers(w, NAMES, hidden, f"towers.{domain}") for domain in range(domains)]
    return {name: np.concatenate([part[name] for part in each]) for name in NAMES}


@pytest.mark.parametrize("groups", [["all"], ["all", "domain"], ["all", "uia"], ["all", "domain", "uia"]])
def test_equals_a_naive_loop(groups: list[str]) -> None:
    dims = {name: DIMS[name] for name in groups}
    model, _ = build(LAYERS, dims)
    mt.check_rows(model, mt.inputs(dims), naive)


def test_by_default_the_gate_is_as_wide_as_the_features_and_reaches_2() -> None:
    model, _ = build("")
    assert model.epnet.hidden.layers[0].linear.weight.shape == (7, 9)
    assert (model.epnet.gamma, model.ppnets[0].out_dim) == (2, 7)


def test_every_domain_has_towers() -> None:
    model, _ = build(LAYERS + 'domain_input_name: "scene" task_domain_num: 3 ')
    mt.check_rows(model, mt.inputs(DIMS), lambda w, row: naive(w, row, 3))


def test_a_row_learns_and_is_scored_in_its_domain_and_is_predicted_in_all() -> None:
    model, tasks = build(LAYERS + 'domain_input_name: "scene" task_domain_num: 3 ')
    x = mt.inputs(DIMS, rows=30)
    scene = torch.randint(0, 3, (30,))
    batch = mt.path_batch(x["all"], scene=scene)
    logits = {name: value.detach() for name, value in model(x).items()}
    own = {name: value[torch.arange(30), scene].double().numpy() for name, value in logits.items()}
    for name, label in (("ctr", "clk"), ("cvr", "buy")):
        p, y = mt.sigmoid(own[name]), batch.labels[label].numpy()
        right = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
        np.testing.assert_allclose(tasks.losses(logits, batch)[f"binary_cross_entropy_{name}"].item(), right, 1e-5)
    scores = EvalMetrics(tasks)
    scores.update(logits, batch)
    label = batch.labels["clk"].numpy()
    clicked, others = own["ctr"][label == 1], own["ctr"][label == 0]
    right = np.mean([(a > b) + 0.5 * (a == b) for a in clicked for b in others])
    assert scores.compute()["auc_ctr"] == pytest.approx(right, abs=1e-6)
    predictions = tasks.predict(logits)
    assert sorted(predictions) == sorted(f"{k}_{n}_{d}" for k in ("logits", "probs") for n in NAMES for d in range(3))
    assert torch.equal(predictions["logits_cvr_2"], logits["cvr"][:, 2])


def test_a_domain_that_does_not_exist() -> None:
    model, tasks = build(LAYERS + 'domain_input_name: "scene" task_domain_num: 3 ')
    x = mt.inputs(DIMS, rows=4)
    with pytest.raises(DataError, match='"scene" holds domains from 0 to 3; with task_domain_num 3 they are 0 to 2'):
        tasks.losses(model(x), mt.path_batch(x["all"], scene=torch.arange(4)))


def test_gates_do_not_change_what_they_read() -> None:
    """The gradient of the features is that of the product with the gate held fixed."""
    model, _ = build("", {"all": 7, "domain": 2})
    x = mt.inputs({"all": 7, "domain": 2})
    x["all"].requires_grad_()
    model(x)["ctr"].sum().backward()
    free = x["all"].detach().clone().requires_grad_()
    gate = model.epnet(torch.cat([x["domain"], x["all"]], 1)).detach()
    tower = model.towers[0].get_submodule("tower_ctr")
    tower(free * gate).sum().backward()
    torch.testing.assert_close(x["all"].grad, free.grad)


def test_gradients_equal_finite_differences() -> None:
    """Of the parameters: towards the inputs some paths are cut on purpose."""
    layers = 'epnet_hidden_unit: 2 ppnet_hidden_units: 2 ppnet_activation: "nn.Tanh" '
    dims = {"all": [3], "domain": [2], "uia": [2]}
    model, _ = mt.build("pepnet", layers + mt.tower("a") + mt.tower("b"), dims)
    mt.check_gradients(model, {"all": 3, "domain": 2, "uia": 2}, detached=True)


def test_can_be_exported() -> None:
    mt.check_export(build(LAYERS)[0], mt.inputs(DIMS))


def test_half_precision() -> None:
    mt.check_half_precision(build(LAYERS)[0], DIMS)


def test_overfits() -> None:
    model, tasks = build('ppnet_hidden_units: [32, 16] domain_input_name: "scene" task_domain_num: 2 ')
    grouped = mt.inputs(DIMS, rows=256)
    batch = mt.path_batch(grouped["all"], scene=torch.arange(256) % 2)
    mt.check_overfits(model, tasks, grouped, batch)
