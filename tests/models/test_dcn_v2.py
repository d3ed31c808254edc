from __future__ import annotations

import numpy as np
import pytest

from tests.models import single

SMOOTH = (
    'dcn_v2 { backbone { hidden_units: 3 activation: "nn.Tanh" } cross { cross_num: 2 low_rank: '
    '2 } deep { hidden_units: 2 activation: "nn.Tanh" } final { hidden_units: 2 activation: '
    '"nn.Tanh" } }'
)
SMALL = {"all": [2, 1]}
LEARNER = "dcn_v2 { cross {} deep { hidden_units: [64, 32] } final { hidden_units: 32 } }"
WIDTHS = {"all": [8, 8]}


def naive(w: single.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    x = crossed = single.mlp(w, "backbone", row["all"])
    layer = 0
    while f"cross.layers.{layer}.u.weight" in w:
        low = w[f"cross.layers.{layer}.u.weight"] @ crossed
        crossed = x * single.linear(w, f"cross.layers.{layer}.v", low) + crossed
        layer += 1
    if "deep.layers.0.linear.weight" in w:
        crossed = np.concatenate([crossed, single.mlp(w, "deep", x)])
    return single.linear(w, "output", single.mlp(w, "final", crossed))


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
