"""What the tests of models with one task share: building one from text, and three things that every model must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from google.protobuf import text_format

from tzrec import registry
from tzrec.data.batch import Batch
from tzrec.embedding.group import Dims
from tzrec.heads.build import build_tasks
from tzrec.models.base import Model
from tzrec.protos.pipeline_pb2 import EasyRecConfig

Weights = dict[str, np.ndarray]


def parse(text: str, num_class: int = 1) -> EasyRecConfig:
    """A config with this model and one task."""
    loss = "binary_cross_entropy" if num_class == 1 else "softmax_cross_entropy"
    task = f"num_class: {num_class} losses {{ {loss} {{}} }}"
    text = f'data_config {{ label_fields: "clk" }} model_config {{ {task} {text} }}'
    return text_format.Parse(text, EasyRecConfig())


def build(text: str, widths: Mapping[str, Sequence[int]], num_class: int = 1) -> Any:
    """The model of `model_config { <text> }` on groups of features of these widths."""
    config = parse(text, num_class)
    chosen = config.model_config
    made = registry.resolve_class(chosen, "model", "tzrec.models")
    return made(getattr(chosen, chosen.WhichOneof("model")), Dims(widths), build_tasks(config))


def shake(model: Model) -> None:
    """Random values for what starts as ones and zeros, so that a wrong use of it shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


def groups(widths: Mapping[str, Sequence[int]], rows: int) -> dict[str, torch.Tensor]:
    """Random outputs of the embeddings."""
    return {name: torch.randn(rows, sum(each)) for name, each in widths.items()}


def weights(model: Model) -> Weights:
    return {name: value.detach().double().numpy() for name, value in model.state_dict().items()}


def linear(w: Weights, prefix: str, x: np.ndarray) -> np.ndarray:
    """One row through a linear layer."""
    return w[f"{prefix}.weight"] @ x + w.get(f"{prefix}.bias", 0.0)


def mlp(w: Weights, prefix: str, x: np.ndarray) -> np.ndarray:
    """One row through linear and ReLU layers; none is the identity."""
    layer = 0
    while f"{prefix}.layers.{layer}.linear.weight" in w:
        x = np.maximum(linear(w, f"{prefix}.layers.{layer}.linear", x), 0)
        layer += 1
    return x


def layer_norm(w: Weights, prefix: str, x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * w[f"{prefix}.weight"] + w[f"{prefix}.bias"]


def rows_of(grouped: Mapping[str, torch.Tensor]) -> list[dict[str, np.ndarray]]:
    """The groups row by row, in float64."""
    count = len(next(iter(grouped.values())))
    return [{name: each[row].double().numpy() for name, each in grouped.items()} for row in range(count)]


def equals(model: Model, grouped: Mapping[str, torch.Tensor], expected: Sequence[np.ndarray]) -> None:
    """The logits of each row, to 1e-5 of the largest one, or 1e-5."""
    logits = model.eval()(dict(grouped))[""].detach().numpy()
    right = np.stack(expected)
    assert logits.shape == right.shape
    assert len(right) == 1 or np.ptp(right) > 1e-2, "rows that are all alike prove nothing"
    np.testing.assert_allclose(logits, right, rtol=0, atol=1e-5 * max(1.0, np.abs(right).max()))


def gradients_are_right(model: Model, widths: Mapping[str, Sequence[int]], rows: int = 3) -> None:
    """Derivatives by every input and parameter equal finite differences; the model must be small and without kinks."""
    model.double()
    names = [name for name, _ in model.named_parameters()]
    inputs = [each.double().requires_grad_() for each in groups(widths, rows).values()]

    def forward(*tensors: torch.Tensor) -> torch.Tensor:
        grouped = dict(zip(widths, tensors[: len(inputs)], strict=True))
        parameters = dict(zip(names, tensors[len(inputs) :], strict=True))
        return torch.func.functional_call(model, parameters, (grouped,))[""]

    assert torch.autograd.gradcheck(forward, (*inputs, *model.parameters()))


def learns_by_heart(model: Model, widths: Mapping[str, Sequence[int]], lr: float = 0.02, steps: int = 150) -> None:
    """256 random rows with labels that nothing explains: their loss falls below 0.05 of what it was."""
    rows = 256
    embeddings = {name: each.requires_grad_() for name, each in groups(widths, rows).items()}
    batch = Batch(rows, labels={"clk": torch.randint(0, 2, (rows,))})
    tasks = build_tasks(parse("multi_tower {}"))
    optimizer = torch.optim.Adam([*model.parameters(), *embeddings.values()], lr)
    history = []
    for _ in range(steps):
        (loss,) = tasks.losses(model(embeddings), batch).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.05 * history[0], (history[0], history[-1])


def survives_half_precision(model: Model, widths: Mapping[str, Sequence[int]]) -> None:
    """Under BF16 autocast: logits near those of FP32, and a gradient for every parameter and input."""
    grouped = {name: (each / 2).requires_grad_() for name, each in groups(widths, 16).items()}
    full = model.eval()(grouped)[""]
    with torch.autocast("cpu", torch.bfloat16):
        half = model.train()(grouped)[""]
    half.float().square().sum().backward()
    bound = 0.05 * max(1.0, full.abs().max().item())
    torch.testing.assert_close(half.float(), full, rtol=0, atol=bound)
    learned = [*model.parameters(), *grouped.values()]
    assert all(each.grad is not None and each.grad.isfinite().all() for each in learned)


def exports(model: Model, widths: Mapping[str, Sequence[int]]) -> None:
    """torch.export follows the body, for any number of rows."""
    model.eval()
    shapes = ({name: {0: torch.export.Dim("rows", min=2)} for name in widths},)
    program = torch.export.export(model, (groups(widths, 4),), dynamic_shapes=shapes).module()
    grouped = groups(widths, 7)
    torch.testing.assert_close(program(grouped)[""], model(grouped)[""], rtol=0, atol=1e-5)
