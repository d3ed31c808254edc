"""What the tests of models with task towers share: naive parts in float64, and questions to ask of every model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from google.protobuf import text_format

from tzrec import registry
from tzrec.data.batch import Batch
from tzrec.embedding.group import Dims
from tzrec.heads.build import Tasks, build_tasks
from tzrec.models.base import Grouped, Model
from tzrec.protos.pipeline_pb2 import EasyRecConfig

Weights = dict[str, np.ndarray]
Array = np.ndarray

BCE = "losses { binary_cross_entropy {} }"


def build(name: str, fields: str, dims: Mapping[str, list[int]] | None = None) -> tuple[Any, Tasks]:
    """A model and its tasks, on a group "all" of 7 columns unless others are given."""
    config = EasyRecConfig()
    text_format.Parse(f"model_config {{ {name} {{ {fields} }} }}", config)
    tasks = build_tasks(config)
    made = registry.resolve_class(config.model_config, "model", "tzrec.models")
    return made(getattr(config.model_config, name), Dims(dims or {"all": [4, 3]}), tasks), tasks


def tower(name: str, label: str = "clk", mlp: str = "", more: str = "") -> str:
    layers = f"mlp {{ {mlp} }}" if mlp else ""
    return f'task_towers {{ tower_name: "{name}" label_name: "{label}" {BCE} {layers} {more} }}'


def weights(model: Model) -> Weights:
    return {name: value.double().numpy() for name, value in model.state_dict().items()}


def linear(w: Weights, prefix: str, x: Array) -> Array:
    return w[f"{prefix}.weight"] @ x + w[f"{prefix}.bias"]


def relu_layers(w: Weights, prefix: str, x: Array) -> Array:
    """The layers that exist under a prefix; x itself where there are none."""
    layer = 0
    while f"{prefix}.layers.{layer}.linear.weight" in w:
        x = np.maximum(linear(w, f"{prefix}.layers.{layer}.linear", x), 0)
        layer += 1
    return x


def mixed(scores: Array, experts: list[Array]) -> Array:
    """Experts weighted by the softmax of their scores."""
    shares = np.exp(scores - scores.max())
    assert len(shares) == len(experts)
    return sum(share / shares.sum() * expert for share, expert in zip(shares, experts, strict=True))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def towers(w: Weights, tasks: list[str], inputs: list[Array], prefix: str = "towers") -> dict[str, Array]:
    """What Towers makes of one row."""
    hidden = [relu_layers(w, f"{prefix}.tower_{task}.mlp", x) for task, x in zip(tasks, inputs, strict=True)]
    return {task: linear(w, f"{prefix}.tower_{task}.linear", x) for task, x in zip(tasks, hidden, strict=True)}


def bottom(w: Weights, x: Array, num_task: int, num_expert: int = 0) -> list[Array]:
    """What Bottom makes of one row."""
    x = relu_layers(w, "bottom.mlp", x)
    if not num_expert:
        return [x] * num_task
    experts = [relu_layers(w, f"bottom.experts.experts.{n}", x) for n in range(num_expert)]
    prefix = "bottom.experts.gates"
    scores = [linear(w, f"{prefix}.{t}.linear", relu_layers(w, f"{prefix}.{t}.mlp", x)) for t in range(num_task)]
    return [mixed(each, experts) for each in scores]


def inputs(dims: Mapping[str, int] | None = None, rows: int = 11) -> Grouped:
    return {name: torch.randn(rows, width) for name, width in (dims or {"all": 7}).items()}


def check_rows(model: Model, grouped: Grouped, naive: Any) -> None:
    """`naive(weights, row)` of each row, a dict of logits, is what the model says, in training and evaluation alike."""
    w = weights(model)
    rows = len(next(iter(grouped.values())))
    expected = [naive(w, {name: x[row].double().numpy() for name, x in grouped.items()}) for row in range(rows)]
    for mode in (True, False):
        logits = model.train(mode)(grouped)
        assert list(logits) == list(expected[0])
        for task in logits:
            right = np.stack([each[task] for each in expected])
            assert np.abs(right).max() > 1e-3
            np.testing.assert_allclose(logits[task].detach().numpy(), right, atol=1e-5)


def check_gradients(model: Model, dims: Mapping[str, int] | None = None, detached: bool = False) -> None:
    """Gradients of all parameters, and of the inputs unless some paths are cut, equal finite differences."""
    model.double()
    names = [name for name, _ in model.named_parameters()]
    grouped = {name: x.double().requires_grad_(not detached) for name, x in inputs(dims, rows=3).items()}

    def forward(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = dict(zip(grouped, values, strict=False))
        parameters = dict(zip(names, values[len(grouped) :], strict=True))
        return tuple(torch.func.functional_call(model, parameters, (x,)).values())

    assert torch.autograd.gradcheck(forward, (*grouped.values(), *model.parameters()))


def check_export(model: Model, grouped: Grouped) -> None:
    """What torch.export makes of it says the same, for any number of rows."""

    class Body(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model.eval()

        def forward(self, grouped: Grouped) -> Grouped:
            return self.model(grouped)

    shapes = {"grouped": {name: {0: torch.export.Dim("rows", min=2)} for name in grouped}}
    program = torch.export.export(Body(), (grouped,), dynamic_shapes=shapes).module()
    for rows in (2, 23):
        x = {name: torch.randn(rows, each.shape[1]) for name, each in grouped.items()}
        expected, received = model(x), program(x)
        assert expected.keys() == received.keys()
        for name in expected:
            torch.testing.assert_close(received[name], expected[name], rtol=0, atol=1e-5)


def path_batch(x: torch.Tensor, **labels: torch.Tensor) -> Batch:
    """Half of the rows are clicked, half of these bought: x0 and x1 say which."""
    clicked = x[:, 0] > 0
    return Batch(len(x), labels={"clk": clicked.long(), "buy": (clicked & (x[:, 1] > 0)).long(), **labels})


def check_overfits(model: Model, tasks: Tasks, grouped: Grouped, batch: Batch, steps: int = 300) -> None:
    """256 rows are learned to less than 0.05 of the first loss, and every parameter takes part."""
    optimizer = torch.optim.Adam(model.train().parameters(), 0.01)
    history = []
    before = copy.deepcopy(model.state_dict())
    for _ in range(steps):
        loss = sum(tasks.losses(model(grouped), batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    still = [name for name, value in model.state_dict().items() if torch.equal(value, before[name])]
    assert still == []
    assert history[-1] < 0.05 * history[0], (history[0], history[-1])


def check_half_precision(model: Model, dims: Mapping[str, int] | None = None) -> None:
    """Under autocast results and gradients stay near; gradients are float32 and arrive where they did before."""
    grouped = inputs(dims, rows=64)
    full, expected = _run(model, grouped)
    with torch.autocast("cpu", torch.bfloat16):
        half, received = _run(model, grouped)
    for task in full:
        torch.testing.assert_close(half[task], full[task], atol=0.05, rtol=0.05)
    assert torch.nn.functional.cosine_similarity(received, expected, dim=0) > 0.99


def _run(model: Model, grouped: Grouped) -> tuple[Grouped, torch.Tensor]:
    """Logits in float32, and the gradients of their sum towards all parameters in one row."""
    logits = {name: each.float() for name, each in model(grouped).items()}
    gradients = torch.autograd.grad(sum(each.sum() for each in logits.values()), list(model.parameters()))
    assert {each.dtype for each in gradients} == {torch.float32}
    return logits, torch.cat([each.flatten() for each in gradients])
