from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference, single_task

SMOOTH = (
    'dcn_v1 { cross { cross_num: 2 } deep { hidden_units: 2 activation: "nn.Tanh" } final { '
    'hidden_units: 2 activation: "nn.Tanh" } }'
)
SMALL = {"all": [2, 1]}
LEARNER = "dcn_v1 { cross {} deep { hidden_units: [64, 32] } final { hidden_units: 32 } }"
WIDTHS = {"all": [8, 8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    """Layer by layer, as the paper writes it."""
    first = crossed = row["all"]
    for weight, bias in zip(w["cross.weight"], w["cross.bias"], strict=True):
        crossed = first * (weight @ crossed) + bias + crossed
    hidden = reference.relu_layers(w, "final", np.concatenate([crossed, reference.relu_layers(w, "deep", first)]))
    return reference.linear(w, "output", hidden)


CASES = [
    pytest.param(
        "dcn_v1 { cross {} deep { hidden_units: [8, 5] } final { hidden_units: [6, 4] } }",
        {"all": [4, 1, 3], "other": [2]},
        1,
        id="three layers",
    ),
    pytest.param(
        "dcn_v1 { cross { cross_num: 1 } deep { hidden_units: 5 } final { hidden_units: 6 } }",
        {"all": [4, 3]},
        2,
        id="one layer",
    ),
    pytest.param(
        "dcn_v1 { cross { cross_num: 6 } deep { hidden_units: 5 } final { hidden_units: 6 } }",
        {"all": [4, 3]},
        1,
        id="six layers",
    ),
]


def test_output_layer_has_no_bias() -> None:
    assert single_task.build(LEARNER, WIDTHS).output.bias is None
