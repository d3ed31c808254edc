from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference

SMOOTH = (
    'finalmlp { first { gate_group: "user" gate_mlp { hidden_units: 2 activation: "nn.Tanh" } '
    'mlp { hidden_units: 2 activation: "nn.Tanh" } } second { mlp { hidden_units: 4 activation: '
    '"nn.Tanh" } } head_num: 2 }'
)
SMALL = {"all": [2, 1], "user": [2]}
LEARNER = (
    'finalmlp { first { gate_group: "user" mlp { hidden_units: [32, 16] } } second { mlp { '
    "hidden_units: [32, 16] } } head_num: 4 }"
)
WIDTHS = {"all": [8, 8], "user": [8]}


def stream(w: reference.Weights, name: str, row: dict[str, np.ndarray], group: str) -> np.ndarray:
    x = row["all"]
    if f"{name}.gate.weight" in w:
        gate = reference.linear(w, f"{name}.gate", reference.relu_layers(w, f"{name}.gate_mlp", row[group]))
        x = x * 2 / (1 + np.exp(-gate))
    return reference.relu_layers(w, f"{name}.mlp", x)


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    """Class by class, head by head; gates read "user" and "item" in the texts below."""
    first, second = stream(w, "first", row, "user"), stream(w, "second", row, "item")
    logits = reference.linear(w, "fusion.linear", np.concatenate([first, second]))
    heads = len(w["fusion.weight"])
    for form, a, b in zip(w["fusion.weight"], np.split(first, heads), np.split(second, heads), strict=True):
        for index in range(len(logits)):
            logits[index] += a @ form[:, index * len(b) : (index + 1) * len(b)] @ b
    return logits


CASES = [
    pytest.param(
        (
            'finalmlp { first { gate_group: "user" gate_mlp { hidden_units: 5 } mlp { hidden_units: [6, '
            '4] } } second { gate_group: "item" mlp { hidden_units: 6 } } head_num: 2 }'
        ),
        {"all": [4, 1, 3], "user": [4, 1], "item": [3]},
        1,
        id="gates",
    ),
    pytest.param(
        "finalmlp { first { mlp { hidden_units: [6, 4] } } second { mlp { hidden_units: 3 } } }",
        {"all": [4, 3]},
        2,
        id="no gates",
    ),
    pytest.param(
        (
            'finalmlp { first { gate_group: "user" mlp { hidden_units: [9, 6] } } second { mlp { '
            "hidden_units: 3 } } head_num: 3 }"
        ),
        {"all": [4, 3], "user": [2]},
        3,
        id="classes and heads",
    ),
]
