from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference

SMOOTH = (
    'wide_and_deep { deep { hidden_units: [3, 2] activation: "nn.Tanh" } final { hidden_units: '
    '2 activation: "nn.Tanh" } }'
)
SMALL = {"wide": [2, 2], "deep": [2, 1]}
LEARNER = "wide_and_deep { deep { hidden_units: [64, 32] } }"
WIDTHS = {"wide": [2, 2], "deep": [8, 8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    deep = reference.relu_layers(w, "deep", row["deep"])
    if "final.layers.0.linear.weight" in w:
        return reference.linear(w, "output", reference.relu_layers(w, "final", np.append(row["wide"].sum(), deep)))
    return row["wide"].sum() + reference.linear(w, "output", deep)


CASES = [
    pytest.param("wide_and_deep { deep { hidden_units: [8, 5] } }", {"wide": [2, 2], "deep": [4, 1]}, 1, id="added"),
    pytest.param(
        "wide_and_deep { deep { hidden_units: [8, 5] } }",
        {"wide": [2, 2], "deep": [4, 1]},
        3,
        id="added to every class",
    ),
    pytest.param(
        "wide_and_deep { deep { hidden_units: [8, 5] } final { hidden_units: [6, 4] } }",
        {"wide": [2, 2], "deep": [4, 1]},
        2,
        id="final",
    ),
]
