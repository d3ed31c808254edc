from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference

SMOOTH = 'autoint { attention { layer_num: 2 head_dim: 2 } deep { hidden_units: 2 activation: "nn.Tanh" } }'
SMALL = {"all": [2, 2, 2]}
LEARNER = "autoint { attention { layer_num: 2 head_dim: 8 } deep { hidden_units: [64, 32] } }"
WIDTHS = {"all": [8, 8, 8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    """Field by field, head by head; every text below has two heads."""
    vectors = np.split(row["all"], len(widths["all"]))
    layer = 0
    while f"attention.layers.{layer}.weight" in w:
        weight = w[f"attention.layers.{layer}.weight"]
        query, key, value, residual = np.split(weight, 4)
        outputs = []
        for mine in vectors:
            heads = []
            for q, k, v in zip(np.split(query, 2), np.split(key, 2), np.split(value, 2), strict=True):
                scores = np.exp([(q @ mine) @ (k @ other) for other in vectors])
                heads.append(sum(s * (v @ other) for s, other in zip(scores / scores.sum(), vectors, strict=True)))
            outputs.append(np.maximum(np.concatenate(heads) + residual @ mine, 0))
        vectors, layer = outputs, layer + 1
    logits = reference.linear(w, "output", np.concatenate(vectors))
    if "deep.1.weight" in w:
        logits = logits + w["deep.1.weight"] @ reference.relu_layers(w, "deep.0", row["all"])
    return logits


CASES = [
    pytest.param("autoint { attention { head_dim: 3 } }", {"all": [4, 4, 4], "other": [2]}, 1, id="attention alone"),
    pytest.param(
        "autoint { attention { layer_num: 1 head_dim: 5 } deep { hidden_units: [6, 4] } }",
        {"all": [4, 4]},
        2,
        id="deep beside",
    ),
]
