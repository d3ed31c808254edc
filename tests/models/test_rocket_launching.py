from __future__ import annotations

import numpy as np
import pytest
import torch
from google.protobuf import text_format

from tests.models import single
from tzrec.data.batch import Batch
from tzrec.embedding.group import Dims
from tzrec.heads.build import Tasks, build_tasks
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.models.rocket_launching import RocketLaunching

WIDTHS = {"all": [4, 3]}
NETS = "booster_mlp { hidden_units: [6, 5, 4] } light_mlp { hidden_units: [5, 4] }"
SMOOTH = NETS.replace("] }", '] activation: "nn.Tanh" }')
DISTILL = "feature_based_distillation: true"
EUCLID = f"{DISTILL} feature_distillation_function: EUCLID"


def build(fields: str, num_class: int = 1, more: str = "") -> tuple[RocketLaunching, Tasks]:
    config = single.parse(f"rocket_launching {{ {fields} }}", num_class)
    text_format.Merge(f"{more} model_config {{ metrics {{ {'auc' if num_class == 1 else 'accuracy'} {{}} }} }}", config)
    tasks = build_tasks(config)
    return RocketLaunching(config.model_config.rocket_launching, Dims(WIDTHS), tasks), tasks


def layers(w: single.Weights, prefix: str, x: np.ndarray) -> list[np.ndarray]:
    """What each layer makes of a row."""
    found, layer = [], 0
    while f"{prefix}.layers.{layer}.linear.weight" in w:
        x = np.maximum(single.linear(w, f"{prefix}.layers.{layer}.linear", x), 0)
        found.append(x)
        layer += 1
    return found


def naive(w: single.Weights, row: np.ndarray, euclid: bool = False) -> dict[str, np.ndarray]:
    x = (layers(w, "share", row) or [row])[-1]
    light, booster = layers(w, "light", x), layers(w, "booster", x)
    last = {"light": light[-1], "booster": booster[-1]}
    logits = {name: single.linear(w, f"{name}_output", each) for name, each in last.items()}
    found = {**logits, "hint_l2_loss": ((logits["light"] - logits["booster"]) ** 2).mean(keepdims=True)}
    for i, j in ((0, 1), (1, 2)):
        a, b = light[i], booster[j]
        cosine = a @ b / max(np.linalg.norm(a), 1e-12) / max(np.linalg.norm(b), 1e-12)
        found[f"similarity_{i}_{j}"] = np.array([((a - b) ** 2).sum() if euclid else cosine])
    return found


@pytest.mark.parametrize("share", ["", "share_mlp { hidden_units: 6 }"])
@pytest.mark.parametrize("num_class", [1, 3])
@pytest.mark.parametrize("kind", [DISTILL, EUCLID])
def test_equals_a_naive_loop(share: str, num_class: int, kind: str) -> None:
    model, _ = build(f"{share} {NETS} {kind}", num_class)
    grouped, w = single.groups(WIDTHS, 9), single.weights(model)
    expected = [naive(w, row["all"], kind == EUCLID) for row in single.rows_of(grouped)]
    found = model.train()(grouped)
    assert list(found) == list(expected[0])
    for name, values in found.items():
        right = np.stack([row[name] for row in expected])
        assert np.ptp(right) > 1e-3
        np.testing.assert_allclose(values.detach().numpy(), right, atol=1e-5)
    served = model.eval()(grouped)
    assert list(served) == ["light"]
    torch.testing.assert_close(served["light"], found["light"])


@pytest.mark.parametrize("kind", [DISTILL, EUCLID])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_by_hand(kind: str, weighted: bool) -> None:
    """Four rows that count of five; weights 1, 2, 3, 2 count relative to their mean 2."""
    model, tasks = build(f"{NETS} {kind}", more='data_config { sample_weight_fields: "w" }' if weighted else "")
    grouped, w = single.groups(WIDTHS, 5), single.weights(model)
    label, weight = torch.tensor([1, 0, 1, 1, 0]), torch.tensor([1.0, 2.0, 3.0, 2.0, 9.0])
    found = tasks.losses(model(grouped), Batch(4, labels={"clk": label}, weights={"w": weight}))
    rows = [naive(w, row["all"], kind == EUCLID) for row in single.rows_of(grouped)][:4]
    share = weight[:4].double().numpy() / 2 if weighted else np.ones(4)
    p = {name: 1 / (1 + np.exp(-np.concatenate([row[name] for row in rows]))) for name in ("light", "booster")}
    y = label[:4].numpy()
    right = {f"binary_cross_entropy_{n}": -np.mean(share * np.log(np.where(y == 1, p[n], 1 - p[n]))) for n in p}
    right["hint_l2_loss"] = np.mean(share * np.concatenate([row["hint_l2_loss"] for row in rows]))
    for name in ("similarity_0_1", "similarity_1_2"):
        values = share * np.concatenate([row[name] for row in rows])
        right[name] = np.sqrt(values.sum()) if kind == EUCLID else -0.1 * values.mean()
    assert {name: each.item() for name, each in found.items()} == pytest.approx(right, abs=1e-6)


@pytest.mark.parametrize("kind", [DISTILL, EUCLID])
def test_losses_of_a_batch_that_does_not_count_teach_nothing(kind: str) -> None:
    model, tasks = build(f"{NETS} {kind}")
    losses = tasks.losses(model(single.groups(WIDTHS, 1)), Batch(0, labels={"clk": torch.tensor([1])}))
    torch.stack(list(losses.values())).sum().backward()
    assert all(each.abs().item() < 1e-5 for each in losses.values())
    assert all(each.grad is None or not each.grad.any() for each in model.parameters())


def test_the_booster_learns_from_labels_alone_and_shared_layers_from_the_booster_alone() -> None:
    model, tasks = build(f"share_mlp {{ hidden_units: 6 }} {NETS} {DISTILL}")
    losses = tasks.losses(model(single.groups(WIDTHS, 9)), Batch(9, labels={"clk": torch.arange(9) % 2}))
    names = [name.split(".")[0].split("_")[0] for name, _ in model.named_parameters()]
    learned = {}
    for name, loss in losses.items():
        found = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True, allow_unused=True)
        learned[name] = {part for part, by in zip(names, found, strict=True) if by is not None}
    light = {"light"}
    assert learned == {
        "binary_cross_entropy_light": light,
        "binary_cross_entropy_booster": {"share", "booster"},
        "hint_l2_loss": light,
        "similarity_0_1": light,
        "similarity_1_2": light,
    }


def test_only_the_light_net_is_evaluated_and_predicted() -> None:
    model, tasks = build(NETS)
    logits, batch = model.eval()(single.groups(WIDTHS, 9)), Batch(9, labels={"clk": torch.arange(9) % 2})
    scores = EvalMetrics(tasks)
    scores.update(logits, batch)
    assert list(scores.compute()) == ["auc_light", "binary_cross_entropy_light"]
    assert list(tasks.predict(logits)) == ["logits_light", "probs_light"]
    assert list(tasks.predict(model.train()(single.groups(WIDTHS, 9)))) == ["logits_light", "probs_light"]


@pytest.mark.parametrize("fields", [SMOOTH, f"{SMOOTH} {DISTILL}", f"{SMOOTH} {EUCLID}"])
def test_gradients_equal_finite_differences(fields: str) -> None:
    """By the parameters; what the light net reads, and what the booster is compared by, is cut off."""
    model, _ = build(fields)
    model.double().train()
    names, x = [name for name, _ in model.named_parameters()], torch.randn(3, 7, dtype=torch.float64)

    def forward(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = torch.func.functional_call(model, dict(zip(names, values, strict=True)), ({"all": x},))
        return found["light"], found["booster"]

    assert torch.autograd.gradcheck(forward, tuple(model.parameters()))
    light = [name for name in names if name.startswith("light")]

    def drawn(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = torch.func.functional_call(model, dict(zip(light, values, strict=True)), ({"all": x},))
        return tuple(each for name, each in found.items() if name not in ("light", "booster"))

    assert torch.autograd.gradcheck(drawn, tuple(dict(model.named_parameters())[name] for name in light))


def test_can_be_exported() -> None:
    model, _ = build(f"{NETS} {DISTILL}")
    shapes = ({"all": {0: torch.export.Dim("rows", min=2)}},)
    program = torch.export.export(model.eval(), (single.groups(WIDTHS, 4),), dynamic_shapes=shapes).module()
    grouped = single.groups(WIDTHS, 7)
    torch.testing.assert_close(program(grouped)["light"], model(grouped)["light"], rtol=0, atol=1e-5)
