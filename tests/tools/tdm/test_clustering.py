from __future__ import annotations

import sys

import numpy as np
import pytest

from tzrec.data.tree.codes import depth_of
from tzrec.errors import SetupError
from tzrec.tools.tdm import clustering
from tzrec.tools.tdm.clustering import balanced_clusters, cluster


def test_leaf_order_of_numbers_is_that_of_the_reference() -> None:
    vectors = np.repeat(np.arange(10, dtype=np.float32)[:, None], 4, axis=1)
    assert cluster(vectors, 2).leaf_order.tolist() == [5, 6, 4, 7, 8, 1, 2, 0, 9, 3]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_clusters_differ_in_size_by_one_and_the_tree_has_no_level_too_many(n: int) -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(101, 3)) ** 3).astype(np.float32)  # a few far outliers
    members = balanced_clusters(vectors, n)
    assert sorted(map(len, members)) == sorted(101 // n + (i < 101 % n) for i in range(n))
    assert sorted(np.concatenate(members).tolist()) == list(range(101))
    assert cluster(vectors, n).depth == depth_of(101, n)


def test_clusters_of_separate_points_are_kept_together() -> None:
    rng = np.random.default_rng(1)
    centers = np.array([[0, 0], [10, 0], [0, 10], [10, 10]])
    vectors = (np.repeat(centers, 8, axis=0) + rng.normal(size=(32, 2)) / 10).astype(np.float32)
    tree = cluster(vectors, 2)
    ancestors = (tree.leaf_codes + 1) // 2**3  # three levels up: codes plus one are numbered like a heap
    assert [len(set(ancestors[start : start + 8].tolist())) for start in range(0, 32, 8)] == [1, 1, 1, 1]


def test_cluster_of_equal_vectors_still_separates_items() -> None:
    tree = cluster(np.zeros((9, 2), np.float32), 3)
    assert tree.leaf_codes.tolist() == [4, 5, 6, 7, 8, 9, 10, 11, 12]


@pytest.mark.parametrize("num_items", [1, 2, 3])
def test_cluster_of_few_items_has_a_root_above_them(num_items: int) -> None:
    tree = cluster(np.arange(num_items, dtype=np.float32)[:, None], 2)
    assert tree.levels[0].tolist() == [0]
    assert len(tree.levels[-1]) == num_items


def test_large_parts_are_split_like_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(2).normal(size=(60, 3)).astype(np.float32)
    expected = cluster(vectors, 2)
    monkeypatch.setattr(clustering, "SMALL", 8)
    assert cluster(vectors, 2).leaf_codes.tolist() == expected.leaf_codes.tolist()


@pytest.mark.slow
def test_cluster_in_processes_equals_one_process() -> None:
    vectors = np.random.default_rng(3).normal(size=(1500, 4)).astype(np.float32)
    assert cluster(vectors, 2, 2).leaf_codes.tolist() == cluster(vectors, 2).leaf_codes.tolist()


def test_cluster_without_sklearn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(SetupError, match=r"scikit-learn, which is not installed: pip install 'tzrec\[tree\]'"):
        cluster(np.zeros((4, 2), np.float32), 2)
