from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.fixtures import toy_model as toy
from tests.fixtures.toy_training import CASES, LOWER, WEIGHTED, Case, Run
from tzrec.optim.min_norm import min_norm


def expected(case: Case) -> list[np.ndarray]:
    """From the gradients by dense tables in float64, over the rows of both ranks."""
    reference = toy.Reference(case.optimizer)
    return [min_norm(reference.gram(rows).numpy(), np.array(LOWER)) for rows in toy.global_batches(3)]


def test_bounds_are_active_in_some_steps_only() -> None:
    above = np.stack(expected(CASES[0])) - np.array(LOWER) > 0.01  # (steps, losses)
    assert above.any(0).all()
    assert not above.all()


@pytest.mark.parametrize("case", [CASES[0], Case("adam", "adam_optimizer")], ids=lambda case: case.name)
@pytest.mark.usefixtures("alone")
def test_weights_on_one_rank_equal_formula(case: Case) -> None:
    np.testing.assert_allclose(Run(case).pareto(), expected(case), atol=1e-5)


@pytest.mark.parametrize("case", WEIGHTED, ids=lambda case: case.name)
def test_weights_on_two_ranks_equal_formula(case: Case, two: list[dict[str, Any]]) -> None:
    first, second = (rank[f"{case.name} pareto"] for rank in two)
    assert first == second
    np.testing.assert_allclose(first, expected(case), atol=1e-5)


@pytest.mark.parametrize("case", WEIGHTED, ids=lambda case: case.name)
def test_computing_weights_does_not_change_training(case: Case, two: list[dict[str, Any]]) -> None:
    """The backward passes for the weights neither update parameters nor disturb the exchange of the training step."""
    assert two[0][f"{case.name} weighted"] == pytest.approx(two[0][case.name]["losses"][:4], abs=1e-6)
