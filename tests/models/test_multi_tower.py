from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference

SMOOTH = (
    'multi_tower { towers { input: "item" mlp { hidden_units: 2 activation: "nn.Tanh" } } '
    'towers { input: "user" } final { hidden_units: 2 activation: "nn.Tanh" } }'
)
SMALL = {"user": [2], "item": [1, 1]}
LEARNER = (
    'multi_tower { towers { input: "item" mlp { hidden_units: [32, 16] } } towers { input: '
    '"user" mlp { hidden_units: [32, 16] } } final { hidden_units: 32 } }'
)
WIDTHS = {"user": [8], "item": [8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    """The towers in the order in which the texts below name them: item, user."""
    towers = [
        reference.relu_layers(w, f"towers.{position}", row[group]) for position, group in enumerate(("item", "user"))
    ]
    return reference.linear(w, "output", reference.relu_layers(w, "final", np.concatenate(towers)))


CASES = [
    pytest.param(
        (
            'multi_tower { towers { input: "item" mlp { hidden_units: [8, 5] } } towers { input: "user" '
            "mlp { hidden_units: 3 } } final { hidden_units: [6, 4] } }"
        ),
        {"user": [4, 1], "item": [3], "other": [2]},
        1,
        id="two towers",
    ),
    pytest.param(
        (
            'multi_tower { towers { input: "item" } towers { input: "user" mlp { hidden_units: 3 } } '
            "final { hidden_units: 6 } }"
        ),
        {"user": [4, 1], "item": [3]},
        2,
        id="one without mlp",
    ),
]
