from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures import multi_task, reference
from tzrec.errors import DataError
from tzrec.heads.eval_metrics import EvalMetrics

LAYERS = "epnet_hidden_unit: 3 ppnet_hidden_units: [8, 5] epnet_gamma: 1.5 ppnet_gamma: 3 "
TASKS = multi_task.task_tower(
    "ctr", mlp="hidden_units: 4", more="metrics { auc { thresholds: 0 } }"
) + multi_task.task_tower("cvr", "buy")
NAMES = ["ctr", "cvr"]
DIMS = {"all": 7, "domain": 2, "uia": 3}


def build(fields: str, dims: dict[str, int] = DIMS) -> tuple:
    return multi_task.build("pepnet", fields + TASKS, {name: [width] for name, width in dims.items()})


def gate(w: reference.Weights, prefix: str, x: reference.Array, gamma: float) -> reference.Array:
    hidden = reference.relu_layers(w, f"{prefix}.hidden", x)
    return gamma * reference.sigmoid(reference.linear(w, f"{prefix}.out", hidden))


def naive(w: reference.Weights, row: dict[str, reference.Array], domains: int = 1) -> dict[str, reference.Array]:
    raw = x = row["all"]
    if "domain" in row:
        x = x * gate(w, "epnet", np.concatenate([row["domain"], raw]), 1.5)
    gate_input = np.concatenate([row["uia"], raw]) if "uia" in row else raw
    hidden = []
    for task in range(2):
        h = x
        for layer in range(2):
            h = reference.relu_layers(w, f"ppnets.{task}.layers.{layer}", h)
            h = h * gate(w, f"ppnets.{task}.gates.{layer}", gate_input, 3)
        hidden.append(h)
    by_domain = [reference.towers(w, NAMES, hidden, f"towers.{domain}") for domain in range(domains)]
    return {name: np.concatenate([logits[name] for logits in by_domain]) for name in NAMES}


@pytest.mark.parametrize("groups", [["all"], ["all", "domain"], ["all", "uia"], ["all", "domain", "uia"]])
def test_logits_equal_the_reference(groups: list[str]) -> None:
    dims = {name: DIMS[name] for name in groups}
    model, _ = build(LAYERS, dims)
    multi_task.assert_equals_reference(model, multi_task.random_groups(dims), naive)


def test_epnet_gate_defaults_to_the_width_of_the_features_and_gamma_2() -> None:
    model, _ = build("")
    assert model.epnet.hidden.layers[0].linear.weight.shape == (7, 9)
    assert (model.epnet.gamma, model.ppnets[0].out_dim) == (2, 7)


def test_every_domain_has_its_own_towers() -> None:
    model, _ = build(LAYERS + 'domain_input_name: "scene" task_domain_num: 3 ')
    multi_task.assert_equals_reference(model, multi_task.random_groups(DIMS), lambda w, row: naive(w, row, 3))


def test_losses_and_metrics_read_the_domain_of_a_row_and_predictions_all_domains() -> None:
    model, heads = build(LAYERS + 'domain_input_name: "scene" task_domain_num: 3 ')
    x = multi_task.random_groups(DIMS, num_rows=30)
    scene = torch.randint(0, 3, (30,))
    batch = multi_task.click_and_buy_batch(x["all"], scene=scene)
    logits = {name: value.detach() for name, value in model(x).logits.items()}
    own = {name: value[torch.arange(30), scene].double().numpy() for name, value in logits.items()}
    losses = heads.compute_losses(logits, batch)
    for name, label in (("ctr", "clk"), ("cvr", "buy")):
        p, y = reference.sigmoid(own[name]), batch.labels[label].numpy()
        correct = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
        np.testing.assert_allclose(losses[f"binary_cross_entropy_{name}"].item(), correct, 1e-5)
    metrics = EvalMetrics(heads)
    metrics.update(logits, {}, batch)
    label = batch.labels["clk"].numpy()
    clicked, not_clicked = own["ctr"][label == 1], own["ctr"][label == 0]
    correct = np.mean([(a > b) + 0.5 * (a == b) for a in clicked for b in not_clicked])
    assert metrics.compute()["auc_ctr"] == pytest.approx(correct, abs=1e-6)
    predictions = heads.predict(logits)
    assert sorted(predictions) == sorted(f"{k}_{n}_{d}" for k in ("logits", "probs") for n in NAMES for d in range(3))
    assert torch.equal(predictions["logits_cvr_2"], logits["cvr"][:, 2])


def test_domain_out_of_range_is_a_data_error() -> None:
    model, heads = build(LAYERS + 'domain_input_name: "scene" task_domain_num: 3 ')
    x = multi_task.random_groups(DIMS, num_rows=4)
    with pytest.raises(DataError, match='"scene" holds domains from 0 to 3; with task_domain_num 3 they are 0 to 2'):
        multi_task.compute_losses(heads, model(x), multi_task.click_and_buy_batch(x["all"], scene=torch.arange(4)))


def test_gates_detach_their_inputs() -> None:
    """The gradient of the features is that of the product with the gate held fixed."""
    model, _ = build("", {"all": 7, "domain": 2})
    x = multi_task.random_groups({"all": 7, "domain": 2})
    x["all"].requires_grad_()
    model(x).logits["ctr"].sum().backward()
    free = x["all"].detach().clone().requires_grad_()
    gate = model.epnet(torch.cat([x["domain"], x["all"]], 1)).detach()
    tower = model.towers[0].get_submodule("tower_ctr")
    tower(free * gate).sum().backward()
    torch.testing.assert_close(x["all"].grad, free.grad)


def test_gradients_equal_finite_differences() -> None:
    """Gradients of the parameters; the model detaches some paths to its inputs."""
    layers = 'epnet_hidden_unit: 2 ppnet_hidden_units: 2 ppnet_activation: "nn.Tanh" '
    dims = {"all": [3], "domain": [2], "uia": [2]}
    model, _ = multi_task.build("pepnet", layers + multi_task.task_tower("a") + multi_task.task_tower("b"), dims)
    multi_task.assert_gradients_correct(model, {"all": 3, "domain": 2, "uia": 2}, has_detached_inputs=True)


def test_exported_program_equals_the_model() -> None:
    multi_task.assert_exports(build(LAYERS)[0], multi_task.random_groups(DIMS))


def test_half_precision_stays_near_float32() -> None:
    multi_task.assert_half_precision(build(LAYERS)[0], DIMS)


def test_training_overfits_a_batch() -> None:
    model, heads = build('ppnet_hidden_units: [32, 16] domain_input_name: "scene" task_domain_num: 2 ')
    grouped = multi_task.random_groups(DIMS, num_rows=256)
    batch = multi_task.click_and_buy_batch(grouped["all"], scene=torch.arange(256) % 2)
    multi_task.assert_overfits(model, heads, grouped, batch)
