from __future__ import annotations

import numpy as np
import pytest
import torch
from google.protobuf import text_format

from tests.fixtures import multi_task, reference, single_task
from tzrec.data.batch import Batch
from tzrec.embedding.group import Dims
from tzrec.heads.eval_metrics import EvalMetrics
from tzrec.heads.heads import Heads
from tzrec.models.rocket_launching import RocketLaunching

WIDTHS = {"all": [4, 3]}
NETS = "booster_mlp { hidden_units: [6, 5, 4] } light_mlp { hidden_units: [5, 4] }"
SMOOTH = NETS.replace("] }", '] activation: "nn.Tanh" }')
DISTILL = "feature_based_distillation: true"
EUCLID = f"{DISTILL} feature_distillation_function: EUCLID"


def build(fields: str, num_class: int = 1, more: str = "") -> tuple[RocketLaunching, Heads]:
    config = single_task.parse_config(f"rocket_launching {{ {fields} }}", num_class)
    text_format.Merge(f"{more} model_config {{ metrics {{ {'auc' if num_class == 1 else 'accuracy'} {{}} }} }}", config)
    heads = RocketLaunching.heads(config)
    return RocketLaunching(config.model_config.rocket_launching, Dims(WIDTHS), heads), heads


def layers(w: reference.Weights, prefix: str, x: np.ndarray) -> list[np.ndarray]:
    """Output of each layer for a row."""
    outputs, layer = [], 0
    while f"{prefix}.layers.{layer}.linear.weight" in w:
        x = np.maximum(reference.linear(w, f"{prefix}.layers.{layer}.linear", x), 0)
        outputs.append(x)
        layer += 1
    return outputs


def naive(w: reference.Weights, row: np.ndarray, euclid: bool = False) -> dict[str, np.ndarray]:
    x = (layers(w, "share", row) or [row])[-1]
    light, booster = layers(w, "light", x), layers(w, "booster", x)
    last = {"light": light[-1], "booster": booster[-1]}
    logits = {name: reference.linear(w, f"{name}_output", hidden) for name, hidden in last.items()}
    values = {**logits, "hint_l2_loss": ((logits["light"] - logits["booster"]) ** 2).mean()}
    for i, j in ((0, 1), (1, 2)):
        a, b = light[i], booster[j]
        cosine = a @ b / max(np.linalg.norm(a), 1e-12) / max(np.linalg.norm(b), 1e-12)
        values[f"similarity_{i}_{j}"] = ((a - b) ** 2).sum() if euclid else cosine
    return values


@pytest.mark.parametrize("share", ["", "share_mlp { hidden_units: 6 }"])
@pytest.mark.parametrize("num_class", [1, 3])
@pytest.mark.parametrize("kind", [DISTILL, EUCLID])
def test_logits_equal_the_reference(share: str, num_class: int, kind: str) -> None:
    model, _ = build(f"{share} {NETS} {kind}", num_class)
    grouped, w = single_task.random_groups(WIDTHS, 9), reference.weights(model)
    expected = [naive(w, row["all"], kind == EUCLID) for row in reference.rows(grouped)]
    trained = multi_task.values(model.train()(grouped))
    assert list(trained) == list(expected[0])
    for name, received in trained.items():
        correct = np.stack([row[name] for row in expected])
        assert np.ptp(correct) > 1e-3
        np.testing.assert_allclose(received.detach().numpy(), correct, atol=1e-5)
    served = multi_task.values(model.eval()(grouped))
    assert list(served) == ["light"]
    torch.testing.assert_close(served["light"], trained["light"])


@pytest.mark.parametrize("kind", [DISTILL, EUCLID])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_equal_their_formulas(kind: str, weighted: bool) -> None:
    """Four rows that count of five; weights 1, 2, 3, 2 count relative to their mean 2."""
    model, heads = build(f"{NETS} {kind}", more='data_config { sample_weight_fields: "w" }' if weighted else "")
    grouped, w = single_task.random_groups(WIDTHS, 5), reference.weights(model)
    label, weight = torch.tensor([1, 0, 1, 1, 0]), torch.tensor([1.0, 2.0, 3.0, 2.0, 9.0])
    batch = Batch(4, labels={"clk": label}, weights={"w": weight})
    losses = multi_task.compute_losses(heads, model(grouped), batch)
    rows = [naive(w, row["all"], kind == EUCLID) for row in reference.rows(grouped)][:4]
    share = weight[:4].double().numpy() / 2 if weighted else np.ones(4)
    p = {name: reference.sigmoid(np.concatenate([row[name] for row in rows])) for name in ("light", "booster")}
    y = label[:4].numpy()
    correct = {f"binary_cross_entropy_{n}": -np.mean(share * np.log(np.where(y == 1, p[n], 1 - p[n]))) for n in p}
    correct["hint_l2_loss"] = np.mean(share * np.stack([row["hint_l2_loss"] for row in rows]))
    for name in ("similarity_0_1", "similarity_1_2"):
        values = share * np.stack([row[name] for row in rows])
        correct[name] = np.sqrt(values.sum()) if kind == EUCLID else -0.1 * values.mean()
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(correct, abs=1e-6)


@pytest.mark.parametrize("kind", [DISTILL, EUCLID])
def test_losses_of_a_batch_without_rows_that_count_have_no_gradients(kind: str) -> None:
    model, heads = build(f"{NETS} {kind}")
    losses = multi_task.compute_losses(
        heads, model(single_task.random_groups(WIDTHS, 1)), Batch(0, labels={"clk": torch.tensor([1])})
    )
    torch.stack(list(losses.values())).sum().backward()
    assert all(loss.abs().item() < 1e-5 for loss in losses.values())
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


def test_gradients_of_distillation_reach_the_light_net_only() -> None:
    model, heads = build(f"share_mlp {{ hidden_units: 6 }} {NETS} {DISTILL}")
    losses = multi_task.compute_losses(
        heads, model(single_task.random_groups(WIDTHS, 9)), Batch(9, labels={"clk": torch.arange(9) % 2})
    )
    names = [name.split(".")[0].split("_")[0] for name, _ in model.named_parameters()]
    reached = {}
    for name, loss in losses.items():
        gradients = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True, allow_unused=True)
        reached[name] = {part for part, gradient in zip(names, gradients, strict=True) if gradient is not None}
    light = {"light"}
    assert reached == {
        "binary_cross_entropy_light": light,
        "binary_cross_entropy_booster": {"share", "booster"},
        "hint_l2_loss": light,
        "similarity_0_1": light,
        "similarity_1_2": light,
    }


def test_booster_is_not_evaluated_or_predicted() -> None:
    model, heads = build(NETS)
    logits = model.eval()(single_task.random_groups(WIDTHS, 9)).logits
    metrics = EvalMetrics(heads)
    metrics.update(logits, {}, Batch(9, labels={"clk": torch.arange(9) % 2}))
    assert list(metrics.compute()) == ["auc_light", "binary_cross_entropy_light"]
    assert list(heads.predict(logits)) == ["logits_light", "probs_light"]
    assert list(heads.predict(model.train()(single_task.random_groups(WIDTHS, 9)).logits)) == [
        "logits_light",
        "probs_light",
    ]


@pytest.mark.parametrize("fields", [SMOOTH, f"{SMOOTH} {DISTILL}", f"{SMOOTH} {EUCLID}"])
def test_gradients_equal_finite_differences(fields: str) -> None:
    """Gradients of the parameters; the model detaches the input of the light net and the compared booster."""
    model, _ = build(fields)
    model.double().train()
    names, x = [name for name, _ in model.named_parameters()], torch.randn(3, 7, dtype=torch.float64)

    def forward(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        output = torch.func.functional_call(model, dict(zip(names, values, strict=True)), ({"all": x},))
        return output.logits["light"], output.logits["booster"]

    assert torch.autograd.gradcheck(forward, tuple(model.parameters()))
    light = [name for name in names if name.startswith("light")]

    def distillation(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        output = torch.func.functional_call(model, dict(zip(light, values, strict=True)), ({"all": x},))
        return tuple(output.auxiliary_losses.values())

    assert torch.autograd.gradcheck(distillation, tuple(dict(model.named_parameters())[name] for name in light))


def test_exported_program_equals_the_model() -> None:
    model, _ = build(f"{NETS} {DISTILL}")
    shapes = ({"all": {0: torch.export.Dim("rows", min=2)}},)
    program = torch.export.export(model.eval(), (single_task.random_groups(WIDTHS, 4),), dynamic_shapes=shapes).module()
    grouped = single_task.random_groups(WIDTHS, 7)
    torch.testing.assert_close(program(grouped).logits["light"], model(grouped).logits["light"], rtol=0, atol=1e-5)
