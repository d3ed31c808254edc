from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference, single_task

SMOOTH = (
    'dcn_v2 { backbone { hidden_units: 3 activation: "nn.Tanh" } cross { cross_num: 2 low_rank: '
    '2 } deep { hidden_units: 2 activation: "nn.Tanh" } final { hidden_units: 2 activation: '
    '"nn.Tanh" } }'
)
SMALL = {"all": [2, 1]}
LEARNER = "dcn_v2 { cross {} deep { hidden_units: [64, 32] } final { hidden_units: 32 } }"
WIDTHS = {"all": [8, 8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    x = crossed = reference.relu_layers(w, "backbone", row["all"])
    layer = 0
    while f"cross.layers.{layer}.u.weight" in w:
        low = w[f"cross.layers.{layer}.u.weight"] @ crossed
        crossed = x * reference.linear(w, f"cross.layers.{layer}.v", low) + crossed
        layer += 1
    if "deep.layers.0.linear.weight" in w:
        crossed = np.concatenate([crossed, reference.relu_layers(w, "deep", x)])
    return reference.linear(w, "output", reference.relu_layers(w, "final", crossed))


CASES = [
    pytest.param(
        "dcn_v2 { cross {} final { hidden_units: [6, 4] } }", {"all": [4, 1, 3], "other": [2]}, 1, id="cross alone"
    ),
    pytest.param(
        ("dcn_v2 { cross { cross_num: 1 low_rank: 2 } deep { hidden_units: 5 } final { hidden_units: 6 } }"),
        {"all": [4, 3]},
        2,
        id="deep beside",
    ),
    pytest.param(
        (
            "dcn_v2 { backbone { hidden_units: 6 } cross { cross_num: 2 } deep { hidden_units: 5 } "
            "final { hidden_units: 6 } }"
        ),
        {"all": [4, 3]},
        1,
        id="backbone and deep",
    ),
]


def test_output_layer_has_no_bias() -> None:
    assert single_task.build(LEARNER, WIDTHS).output.bias is None
