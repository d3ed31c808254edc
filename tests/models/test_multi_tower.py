from __future__ import annotations

import numpy as np
import pytest

from tests.models import single

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


def naive(w: single.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    """The towers in the order in which the texts below name them: item, user."""
    towers = [single.mlp(w, f"towers.{position}", row[group]) for position, group in enumerate(("item", "user"))]
    return single.linear(w, "output", single.mlp(w, "final", np.concatenate(towers)))


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


@pytest.mark.parametrize(("text", "widths", "num_class"), CASES)
@pytest.mark.parametrize("rows", [1, 9])
def test_equals_a_naive_loop(text: str, widths: dict[str, list[int]], num_class: int, rows: int) -> None:
    model = single.build(text, widths, num_class)
    single.shake(model)
    grouped = single.groups(widths, rows)
    w = single.weights(model)
    single.equals(model, grouped, [naive(w, row, widths) for row in single.rows_of(grouped)])
