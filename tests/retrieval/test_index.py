from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tzrec.errors import PackageError, SetupError
from tzrec.retrieval.exact_index import ExactIndex
from tzrec.retrieval.index import VectorIndex, build_index, open_index
from tzrec.retrieval.options import INDEX_TYPES, IndexOptions, Metric
from tzrec.retrieval.vectors import Floats

EXHAUSTIVE = {"nlist": 8, "nprobe": 8, "ef_search": 400}
"""Parameters by which IVF and HNSW indexes of few vectors find all neighbours."""


def vectors(count: int, dimension: int = 12, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)


def naive(values: Floats, query: Floats, count: int, metric: Metric) -> list[tuple[float, int]]:
    """Nearest vectors of a query in float64, one pair at a time: (score, row), the best first."""
    pairs = []
    for row, value in enumerate(values.astype(np.float64)):
        score = sum((a - b) ** 2 for a, b in zip(value, query.astype(np.float64))) if metric == "L2" else 0.0
        if metric == "IP":
            score = sum(a * b for a, b in zip(value, query.astype(np.float64)))
        pairs.append((float(score), row))
    return sorted(pairs, key=lambda pair: pair[0] if metric == "L2" else -pair[0])[:count]


def ensure_naive(index: VectorIndex, values: Floats, queries: Floats, count: int) -> None:
    neighbours = index.search(queries, count)
    assert neighbours.rows.shape == neighbours.scores.shape == (len(queries), count)
    for number, query in enumerate(queries):
        expected = naive(values, query, count, index.metric)
        assert neighbours.rows[number].tolist() == [row for _, row in expected]
        np.testing.assert_allclose(neighbours.scores[number], [score for score, _ in expected], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("index_type", INDEX_TYPES)
def test_index_built_and_opened_finds_the_naive_neighbours(index_type: str, tmp_path: Path) -> None:
    values, queries, options = vectors(300), vectors(5, seed=1), IndexOptions(index_type, **EXHAUSTIVE)
    index = build_index(values, options)
    ensure_naive(index, values, queries, 20)
    index.write(tmp_path / "index")
    opened = open_index(tmp_path / "index", options)
    assert (opened.num_items, opened.dimension, opened.metric) == (300, 12, index_type[-2:])
    ensure_naive(opened, values, queries, 20)


@pytest.mark.parametrize("index_type", INDEX_TYPES)
def test_index_of_fewer_items_than_asked_for_pads_with_minus_one(index_type: str) -> None:
    index = build_index(vectors(3), IndexOptions(index_type))  # 3 lists instead of 1,000
    neighbours = index.search(vectors(2, seed=1), 5)
    assert sorted(neighbours.rows[0, :3]) == [0, 1, 2]
    assert neighbours.rows[:, 3:].tolist() == [[-1, -1], [-1, -1]]
    assert neighbours.scores[:, 3:].tolist() == [[0, 0], [0, 0]]
    assert index.search(vectors(0), 5).rows.shape == (0, 5)


def test_exact_index_orders_equal_scores_by_row() -> None:
    values = np.array([[1, 0], [2, 0], [1, 0], [2, 0], [1, 0]], np.float32)
    assert ExactIndex(values, "IP").search(values[:1], 4).rows.tolist() == [[1, 3, 0, 2]]
    assert ExactIndex(values, "L2").search(values[:1], 2).rows.tolist() == [[0, 2]]


def test_exact_index_in_blocks_equals_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    index, queries = ExactIndex(vectors(50), "IP"), vectors(7, seed=1)
    expected = index.search(queries, 5)
    monkeypatch.setattr("tzrec.retrieval.exact_index._BLOCK_SCORES", 100)
    assert index.search(queries, 5).rows.tolist() == expected.rows.tolist()


def test_search_with_more_probes_finds_more() -> None:
    """The effort of a search is that of the options, not of the file."""
    values, queries = vectors(2000), vectors(50, seed=1)
    exact = build_index(values, IndexOptions("FlatIP")).search(queries, 10).rows
    recalls = [
        np.mean([len(set(one) & set(other)) for one, other in zip(rows, exact)]) / 10
        for nprobe in (1, 20, 100)
        for rows in [build_index(values, IndexOptions("IVFFlatIP", nlist=100, nprobe=nprobe)).search(queries, 10).rows]
    ]
    assert recalls[0] < 0.5 < recalls[1] < recalls[2] == 1


@pytest.mark.parametrize("index_type", ["ExactIP", "FlatIP", "IVFFlatIP", "HNSWFlatIP"])
def test_searches_of_threads_equal_those_of_one(index_type: str) -> None:
    index = build_index(vectors(500), IndexOptions(index_type, nlist=10, nprobe=3))
    queries = [vectors(4, seed=seed) for seed in range(1, 41)]
    expected = [index.search(query, 7).rows.tolist() for query in queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: index.search(query, 7).rows.tolist(), queries)) == expected


def test_faiss_index_without_faiss_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(SetupError, match=r"needs the package faiss-cpu: pip install 'tzrec\[retrieval\]'"):
        build_index(vectors(3), IndexOptions("FlatIP"))
    assert build_index(vectors(3), IndexOptions("ExactIP")).num_items == 3


@pytest.mark.parametrize("index_type", ["ExactIP", "FlatIP"])
@pytest.mark.parametrize("data", [b"", b"junk", b"IxFI" + bytes(40)])
def test_open_index_of_damaged_file_raises_package_error(index_type: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(data)
    with pytest.raises(PackageError, match=r"create .* again: tzrec index"):
        open_index(tmp_path / "index", IndexOptions(index_type))


def test_open_index_does_not_unpickle(tmp_path: Path) -> None:
    np.save(tmp_path / "index.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(PackageError, match="cannot be read"):
        open_index(tmp_path / "index.npy", IndexOptions("ExactIP"))
    np.save(tmp_path / "index.npy", np.zeros(3, np.float32))
    with pytest.raises(PackageError, match="holds no float32 vectors"):
        open_index(tmp_path / "index.npy", IndexOptions("ExactIP"))


@pytest.mark.parametrize("index_type", ["ExactIP", "FlatIP", "IVFFlatIP", "HNSWFlatIP"])
def test_opened_index_is_mapped_to_memory(index_type: str, tmp_path: Path) -> None:
    build_index(vectors(500), IndexOptions(index_type, nlist=10)).write(tmp_path / "the_index")
    index = open_index(tmp_path / "the_index", IndexOptions(index_type, nlist=10))
    assert "the_index" in Path("/proc/self/maps").read_text()
    assert index.num_items == 500
