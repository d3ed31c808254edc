from __future__ import annotations

import numpy as np
import pytest

from tests.models import single

SMOOTH = (
    'wide_and_deep { deep { hidden_units: [3, 2] activation: "nn.Tanh" } final { hidden_units: '
    '2 activation: "nn.Tanh" } }'
)
SMALL = {"wide": [2, 2], "deep": [2, 1]}
LEARNER = "wide_and_deep { deep { hidden_units: [64, 32] } }"
WIDTHS = {"wide": [2, 2], "deep": [8, 8]}


def naive(w: single.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    deep = single.mlp(w, "deep", row["deep"])
    if "final.layers.0.linear.weight" in w:
        return single.linear(w, "output", single.mlp(w, "final", np.append(row["wide"].sum(), deep)))
    return row["wide"].sum() + single.linear(w, "output", deep)


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


@pytest.mark.parametrize(("text", "widths", "num_class"), CASES)
@pytest.mark.parametrize("rows", [1, 9])
def test_equals_a_naive_loop(text: str, widths: dict[str, list[int]], num_class: int, rows: int) -> None:
    model = single.build(text, widths, num_class)
    single.shake(model)
    grouped = single.groups(widths, rows)
    w = single.weights(model)
    single.equals(model, grouped, [naive(w, row, widths) for row in single.rows_of(grouped)])
