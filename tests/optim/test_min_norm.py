from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest

from tzrec.optim.min_norm import Array, min_norm


def search(gram: Array, lower: Array) -> Array:
    """Best of the minima over all sets of weights that are fixed to their bounds."""
    tasks, candidates = range(len(gram)), []
    for free in chain.from_iterable(combinations(tasks, size) for size in range(1, len(gram) + 1)):
        fixed = [task for task in tasks if task not in free]
        matrix = np.ones((len(free) + 1, len(free) + 1))
        matrix[:-1, :-1], matrix[-1, -1] = gram[np.ix_(free, free)], 0
        constants = np.append(-gram[np.ix_(free, fixed)] @ lower[fixed], 1 - lower[fixed].sum())
        weights = lower.copy()
        weights[list(free)] = np.linalg.lstsq(matrix, constants, rcond=None)[0][:-1]
        if (weights >= lower - 1e-9).all() and abs(weights.sum() - 1) < 1e-9:
            candidates.append(weights)
    return min(candidates, key=lambda weights: weights @ gram @ weights)


@pytest.mark.parametrize(("first", "second"), [((1, 0), (0, 2)), ((3, 1), (1, 2)), ((1, 1), (-2, 1)), ((1, 0), (5, 1))])
def test_min_norm_of_two_vectors_equals_closed_form(first: tuple[float, float], second: tuple[float, float]) -> None:
    """Sener and Koltun, NeurIPS 2018, equation 4: `((b - a) . b) / |a - b|^2`, cut to [0, 1]."""
    a, b = np.array(first, float), np.array(second, float)
    share = np.clip((b - a) @ b / ((a - b) @ (a - b)), 0, 1)
    both = np.stack([a, b])
    np.testing.assert_allclose(min_norm(both @ both.T, np.zeros(2)), [share, 1 - share], atol=1e-12)


def test_min_norm_of_orthogonal_vectors_within_bounds() -> None:
    """Orthogonal vectors of length 1, 2 and 3: weights as 1/1, 1/4 and 1/9; with the last one fixed at 0.4, the others
    share 0.6 as 4 to 1.
    """
    gram = np.diag([1.0, 4.0, 9.0])
    np.testing.assert_allclose(min_norm(gram, np.zeros(3)), np.array([36, 9, 4]) / 49, atol=1e-12)
    np.testing.assert_allclose(min_norm(gram, np.array([0.1, 0.0, 0.4])), [0.48, 0.12, 0.4], atol=1e-12)


def test_min_norm_of_equal_gradients_is_valid() -> None:
    np.testing.assert_allclose(min_norm(np.zeros((4, 4)), np.array([0.4, 0, 0, 0])), [0.55, 0.15, 0.15, 0.15])
    assert min_norm(np.ones((3, 3)), np.zeros(3)).sum() == pytest.approx(1)


def test_vanishing_gradient_gets_all_free_weight() -> None:
    np.testing.assert_allclose(min_norm(np.diag([1.0, 0.0]), np.array([0.3, 0.0])), [0.3, 0.7], atol=1e-12)


def test_min_norm_equals_search_over_active_sets() -> None:
    """Random, parallel, opposite and vanishing vectors, of lengths from 1e-6 to 1e6."""
    rng = np.random.default_rng(5)
    for _ in range(300):
        tasks = int(rng.integers(2, 6))
        vectors = rng.standard_normal((tasks, int(rng.integers(1, 8)))) + rng.choice([0, 1, 3])
        vectors *= 10.0 ** rng.uniform(-3, 3, (tasks, 1))
        if rng.random() < 0.3:
            vectors[0] = vectors[1] * rng.choice([1, 2, -1, 0])
        lower = rng.random(tasks) * rng.choice([0, 0.9]) / tasks
        gram = vectors @ vectors.T
        weights, expected = min_norm(gram, lower), search(gram / gram.max(), lower)
        assert (weights >= lower - 1e-12).all()
        assert weights.sum() == pytest.approx(1, abs=1e-12)
        assert weights @ gram @ weights <= expected @ gram @ expected + 1e-12 * gram.max()
