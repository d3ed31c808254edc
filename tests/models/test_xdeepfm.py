from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference

SMOOTH = (
    'xdeepfm { cin { cin_layer_size: [2, 2] } deep { hidden_units: 2 activation: "nn.Tanh" } '
    'final { hidden_units: 2 activation: "nn.Tanh" } }'
)
SMALL = {"wide": [2, 2], "deep": [2, 1]}
LEARNER = "xdeepfm { cin { cin_layer_size: [8, 8] } deep { hidden_units: [64, 32] } final { hidden_units: 32 } }"
WIDTHS = {"wide": [4, 4, 4], "deep": [8, 8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    """Map by map, pair by pair."""
    first = previous = np.split(row["wide"], len(widths["wide"]))
    sums, layer = [], 0
    while f"cin.layers.{layer}.weight" in w:
        weight, bias = w[f"cin.layers.{layer}.weight"], w[f"cin.layers.{layer}.bias"]
        maps = []
        for one, shift in zip(weight.reshape(len(weight), len(previous), len(first)), bias, strict=True):
            products = [one[i, j] * previous[i] * first[j] for i in range(len(previous)) for j in range(len(first))]
            maps.append(sum(products) + shift)
        sums += [feature_map.sum() for feature_map in maps]
        previous, layer = maps, layer + 1
    hidden = np.concatenate([sums, reference.relu_layers(w, "deep", row["deep"])])
    return reference.linear(w, "output", reference.relu_layers(w, "final", hidden))


CASES = [
    pytest.param(
        ("xdeepfm { cin { cin_layer_size: [5, 3] } deep { hidden_units: [8, 5] } final { hidden_units: [6, 4] } }"),
        {"wide": [4, 4, 4], "deep": [2, 1]},
        1,
        id="two layers",
    ),
    pytest.param(
        "xdeepfm { cin { cin_layer_size: 2 } deep { hidden_units: 5 } final { hidden_units: 6 } }",
        {"wide": [4, 4], "deep": [2, 1]},
        2,
        id="one layer",
    ),
]
