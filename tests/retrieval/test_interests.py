from __future__ import annotations

import numpy as np
import pytest

from tests.retrieval.test_index import vectors
from tzrec.retrieval.index import Neighbours, build_index
from tzrec.retrieval.interests import merge_interests, search_interests
from tzrec.retrieval.options import IndexOptions, Metric


def naive(rows: np.ndarray, scores: np.ndarray, count: int, metric: Metric) -> list[tuple[int, float]]:
    """Merge the lists of one user with a dict."""
    best: dict[int, float] = {}
    for row, score in zip(rows.ravel().tolist(), scores.ravel().tolist()):
        is_better = row not in best or (score < best[row] if metric == "L2" else score > best[row])
        if row >= 0 and is_better:
            best[row] = score
    return sorted(best.items(), key=lambda item: item[1] if metric == "L2" else -item[1])[:count]


@pytest.mark.parametrize("index_type", ["FlatIP", "FlatL2"])
def test_merge_interests_keeps_each_item_once_with_its_best_score(index_type: str) -> None:
    index, interests = build_index(vectors(30), IndexOptions(index_type)), vectors(4 * 3, seed=2).reshape(4, 3, 12)
    interests[1, 2] = interests[2] = 0
    neighbours = search_interests(index, interests, 20)
    merged = merge_interests(neighbours, 3, index.metric)
    assert merged.rows.shape == (4, 20)
    for user in range(4):
        lists = slice(3 * user, 3 * user + 3)
        expected = naive(neighbours.rows[lists], neighbours.scores[lists], 20, index.metric)
        is_item = merged.rows[user] >= 0
        assert list(zip(merged.rows[user][is_item].tolist(), merged.scores[user][is_item].tolist())) == expected
    assert (merged.rows[2] == -1).all()  # all interests are zero
    assert (neighbours.rows[5] == -1).all()


def test_merge_interests_keeps_two_items_of_equal_score() -> None:
    """Items are the same if their ids are, not if their scores are."""
    neighbours = Neighbours(np.array([[3, 2], [3, 1]], np.float32), np.array([[7, 8], [9, 8]]))
    assert merge_interests(neighbours, 2, "IP").rows.tolist() == [[7, 9]]
    wide = Neighbours(np.array([[3, 2, 1], [3, 1, 0]], np.float32), np.array([[7, 8, 5], [9, 8, 7]]))
    merged = merge_interests(wide, 2, "IP")
    assert merged.rows.tolist() == [[7, 9, 8]]
    assert merged.scores.tolist() == [[3, 3, 2]]
