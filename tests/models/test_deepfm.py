from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference

SMOOTH = (
    'deepfm { deep { hidden_units: [3, 2] activation: "nn.Tanh" } final { hidden_units: 2 activation: "nn.Tanh" } }'
)
SMALL = {"wide": [2, 2], "deep": [2, 2, 2]}
LEARNER = "deepfm { deep { hidden_units: [64, 32] } }"
WIDTHS = {"wide": [2, 2], "deep": [8, 8, 8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    """Pair by pair."""
    vectors = np.split(row["fm" if "fm" in row else "deep"], len(widths["fm" if "fm" in row else "deep"]))
    pairs = sum(vectors[i] * vectors[j] for i in range(len(vectors)) for j in range(i + 1, len(vectors)))
    deep = reference.relu_layers(w, "deep", row["deep"])
    if "final.layers.0.linear.weight" in w:
        hidden = np.concatenate([[row["wide"].sum()], pairs, deep])
        return reference.linear(w, "output", reference.relu_layers(w, "final", hidden))
    return row["wide"].sum() + pairs.sum() + reference.linear(w, "output", deep)


CASES = [
    pytest.param(
        "deepfm { deep { hidden_units: [8, 5] } }", {"wide": [2, 2], "deep": [4, 4, 4]}, 1, id="deep for both"
    ),
    pytest.param(
        "deepfm { deep { hidden_units: 6 } final { hidden_units: [7, 3] } }",
        {"wide": [2, 2], "deep": [4, 4, 4]},
        1,
        id="final",
    ),
    pytest.param(
        "deepfm { deep { hidden_units: [8, 5] } }", {"wide": [2, 2], "deep": [4, 1, 4], "fm": [3, 3]}, 2, id="fm apart"
    ),
    pytest.param(
        "deepfm { deep { hidden_units: 6 } final { hidden_units: 7 } }",
        {"wide": [2], "deep": [1, 3], "fm": [3, 3]},
        2,
        id="fm apart and final",
    ),
]
