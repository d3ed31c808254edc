from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference

SMOOTH = 'gdcn { cross { cross_num: 2 } deep { hidden_units: 2 activation: "nn.Tanh" } }'
SMALL = {"all": [2, 1]}
LEARNER = "gdcn { cross {} deep { hidden_units: [64, 32] } }"
WIDTHS = {"all": [8, 8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    x = crossed = row["all"]
    for layer, bias in enumerate(w["cross.bias"]):
        matrix, gate = np.split(w[f"cross.layers.{layer}.weight"], 2)
        crossed = x * (matrix @ crossed + bias) / (1 + np.exp(-(gate @ crossed))) + crossed
    if w["output.weight"].shape[1] > 4:  # in the texts below the MLP ends in 4
        return reference.linear(w, "output", np.concatenate([crossed, reference.relu_layers(w, "deep", x)]))
    return reference.linear(w, "output", reference.relu_layers(w, "deep", crossed))


CASES = [
    pytest.param("gdcn { cross {} deep { hidden_units: [6, 4] } }", {"all": [4, 1, 3], "other": [2]}, 1, id="beside"),
    pytest.param(
        "gdcn { cross { cross_num: 2 } deep { hidden_units: [6, 4] } stacked: true }", {"all": [4, 3]}, 2, id="stacked"
    ),
]
