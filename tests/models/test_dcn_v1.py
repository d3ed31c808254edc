from __future__ import annotations

import numpy as np
import pytest

from tests.models import single

SMOOTH = (
    'dcn_v1 { cross { cross_num: 2 } deep { hidden_units: 2 activation: "nn.Tanh" } final { '
    'hidden_units: 2 activation: "nn.Tanh" } }'
)
SMALL = {"all": [2, 1]}
LEARNER = "dcn_v1 { cross {} deep { hidden_units: [64, 32] } final { hidden_units: 32 } }"
WIDTHS = {"all": [8, 8]}


def naive(w: single.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    """Layer by layer, as the paper writes it."""
    first = crossed = row["all"]
    for weight, bias in zip(w["cross.weight"], w["cross.bias"], strict=True):
        crossed = first * (weight @ crossed) + bias + crossed
    hidden = single.mlp(w, "final", np.concatenate([crossed, single.mlp(w, "deep", first)]))
    return single.linear(w, "output", hidden)


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


@pytest.mark.parametrize(("text", "widths", "num_class"), CASES)
@pytest.mark.parametrize("rows", [1, 9])
def test_equals_a_naive_loop(text: str, widths: dict[str, list[int]], num_class: int, rows: int) -> None:
    model = single.build(text, widths, num_class)
    single.shake(model)
    grouped = single.groups(widths, rows)
    w = single.weights(model)
    single.equals(model, grouped, [naive(w, row, widths) for row in single.rows_of(grouped)])


def test_the_output_has_no_bias() -> None:
    assert single.build(LEARNER, WIDTHS).output.bias is None
