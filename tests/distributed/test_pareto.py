from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.fixtures import toy_model as toy
from tests.fixtures.toy_training import CASES, LEAST, WEIGHED, Case, Run
from tzrec.optim.min_norm import min_norm


def expected(case: Case) -> list[np.ndarray]:
    """From the gradients by dense tables in float64, over the rows of both ranks."""
    reference = toy.Reference(case.optimizer)
    return [min_norm(reference.gram(rows).numpy(), np.array(LEAST)) for rows in toy.global_batches(3)]


def test_bounds_decide_in_some_steps_only() -> None:
    above = np.stack(expected(CASES[0])) - np.array(LEAST) > 0.01  # (steps, losses)
    assert above.any(0).all()
    assert not above.all()


@pytest.mark.parametrize("case", [CASES[0], Case("adam", "adam_optimizer")], ids=lambda case: case.name)
@pytest.mark.usefixtures("alone")
def test_one_rank_has_the_weights_of_the_formula(case: Case) -> None:
    np.testing.assert_allclose(Run(case).pareto(), expected(case), atol=1e-5)


@pytest.mark.parametrize("case", WEIGHED, ids=lambda case: case.name)
def test_two_ranks_have_the_weights_of_the_formula(case: Case, two: list[dict[str, Any]]) -> None:
    first, second = (rank[f"{case.name} pareto"] for rank in two)
    assert first == second
    np.testing.assert_allclose(first, expected(case), atol=1e-5)


@pytest.mark.parametrize("case", WEIGHED, ids=lambda case: case.name)
def test_steps_stay_what_they_are(case: Case, two: list[dict[str, Any]]) -> None:
    """The passes backward for the weights neither teach anything nor disturb the exchange of the one that does."""
    assert two[0][f"{case.name} weighed"] == pytest.approx(two[0][case.name]["losses"][:4], abs=1e-6)
