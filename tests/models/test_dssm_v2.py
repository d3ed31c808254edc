from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import match_models, reference
from tests.fixtures.match_models import LAYOUTS
from tests.models import test_dssm as dssm

WIDTHS = dssm.WIDTHS


def text_of(layout: str) -> str:
    return "dssm_v2" + dssm.text_of(layout).removeprefix("dssm")


def naive(w: reference.Weights, grouped: match_models.Grouped, side: str) -> list[np.ndarray]:
    """Vectors of a tower, which are those of DSSM."""
    return dssm.naive(w, grouped[side], f"{side}_tower", "COSINE")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_equal_the_reference(layout: str) -> None:
    model = match_models.build(text_of(layout), WIDTHS)
    grouped = match_models.random_groups(model, WIDTHS, 5, LAYOUTS[layout][1] + len(LAYOUTS[layout][2]))
    w = reference.weights(model)
    expected = match_models.naive_scores(naive(w, grouped, "user"), naive(w, grouped, "item"), layout, 0.5)
    match_models.assert_scores_equal(model, grouped, layout, expected)


def test_gradients_equal_finite_differences() -> None:
    text = "dssm_v2" + (dssm.SMOOTH % ("false", "")).removeprefix("dssm")
    match_models.assert_gradients_correct(text, match_models.Widths({"user": [2], "item": [2]}), "sampled")


def test_tables_are_those_of_one_embedding_group() -> None:
    assert type(match_models.build(text_of("in_batch"), WIDTHS)).tower_groups(None) == {}
