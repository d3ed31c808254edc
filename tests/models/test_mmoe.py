from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures import multi_task, reference
from tzrec.data.batch import Batch
from tzrec.heads.heads import Heads
from tzrec.models.mmoe import MMoE

CTR = 'task_towers { tower_name: "ctr" label_name: "clk" losses { binary_cross_entropy {} } %s }'
KIND = 'task_towers { tower_name: "kind" label_name: "k" num_class: 2 losses { softmax_cross_entropy {} } %s }'
LTV = 'task_towers { tower_name: "ltv" label_name: "pay" losses { l2_loss {} } %s }'
EXPERTS = "num_expert: 4 expert_mlp { hidden_units: [8, 5] }"
TOWER = "mlp { hidden_units: [6, 3] }"


def build(fields: str, in_dim: int = 7) -> tuple[MMoE, Heads]:
    return multi_task.build("mmoe", fields, {"all": [4, in_dim - 4], "ignored": [9]})


def naive(w: reference.Weights, x: np.ndarray, num_expert: int, tasks: list[str]) -> dict[str, np.ndarray]:
    """Compute logits row by row, task by task, expert by expert."""
    logits: dict[str, list[np.ndarray]] = {task: [] for task in tasks}
    for row in x:
        experts = [reference.relu_layers(w, f"experts.experts.{n}", row) for n in range(num_expert)]
        for position, task in enumerate(tasks):
            hidden = reference.relu_layers(w, f"experts.gates.{position}.mlp", row)
            scores = np.exp(reference.linear(w, f"experts.gates.{position}.linear", hidden))
            mixed = sum(scores[n] / scores.sum() * experts[n] for n in range(num_expert))
            hidden = reference.relu_layers(w, f"towers.tower_{task}.mlp", mixed)
            logits[task].append(reference.linear(w, f"towers.tower_{task}.linear", hidden))
    return {task: np.stack(rows) for task, rows in logits.items()}


@pytest.mark.parametrize(
    "fields",
    [
        f"{EXPERTS} {CTR % ''} {LTV % ''}",
        f"{EXPERTS} {CTR % TOWER} {KIND % ''} {LTV % 'mlp { hidden_units: 4 }'}",
        f"{EXPERTS} gate_mlp {{ hidden_units: [5, 4] }} {CTR % TOWER} {KIND % TOWER} {LTV % ''}",
        f"num_expert: 1 expert_mlp {{ hidden_units: 3 }} {CTR % ''}",
    ],
    ids=["linear towers", "towers", "gates", "one expert"],
)
@pytest.mark.parametrize("rows", [1, 11])
def test_logits_equal_the_reference(fields: str, rows: int) -> None:
    model, heads = build(fields)
    x = torch.randn(rows, 7)
    expected = naive(reference.weights(model), x.double().numpy(), len(model.experts.experts), list(heads))
    logits = model({"all": x, "ignored": torch.zeros(rows, 9)}).logits
    assert list(logits) == list(heads)
    for task, head in heads.items():
        assert logits[task].shape == (rows, head.num_class)
        np.testing.assert_allclose(logits[task].detach().numpy(), expected[task], atol=1e-5)


def test_tasks_with_different_gates_have_different_logits() -> None:
    """Equal towers on unequal gates: with the same weights everywhere but in the gates, the logits still differ."""
    model, _ = build(f"{EXPERTS} {CTR % ''} {LTV % ''}")
    with torch.no_grad():
        for name, parameter in model.towers.named_parameters():
            parameter.fill_(0.3 if "weight" in name else 0.0)
    x = torch.randn(5, 7)
    logits = model({"all": x}).logits
    assert (logits["ctr"] - logits["ltv"]).abs().min() > 1e-6
    model.experts.gates[1].load_state_dict(model.experts.gates[0].state_dict())
    logits = model({"all": x}).logits
    assert torch.equal(logits["ctr"], logits["ltv"])


def test_gradients_equal_finite_differences() -> None:
    tanh = 'activation: "nn.Tanh"'  # ReLU has kinks that a finite difference may step over
    model, _ = build(
        f"num_expert: 2 expert_mlp {{ hidden_units: 3 {tanh} }} gate_mlp {{ hidden_units: 2 {tanh} }} "
        f"{CTR % f'mlp {{ hidden_units: 2 {tanh} }}'} {KIND % ''}",
        in_dim=5,
    )
    model.double()
    names = [name for name, _ in model.named_parameters()]

    def forward(x: torch.Tensor, *parameters: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits = torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), ({"all": x},)).logits
        return tuple(logits.values())

    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(forward, (x, *model.parameters()))


def test_losses_fall_on_a_planted_signal() -> None:
    """Two tasks that depend on different columns of the input: from chance to almost certain in 60 steps."""
    model, heads = build(f"num_expert: 3 expert_mlp {{ hidden_units: 32 }} {CTR % ''} {KIND % ''}")
    x = torch.randn(512, 7)
    batch = Batch(512, labels={"clk": (x[:, 0] > 0).long(), "k": (x[:, 1] > 0).long()})
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    history = []
    for _ in range(60):
        losses = heads.compute_losses(model({"all": x}).logits, batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    assert all(0.6 < value < 0.85 for value in history[0].values())
    assert all(value < 0.15 for value in history[-1].values())
