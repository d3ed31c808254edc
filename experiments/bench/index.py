"""Benchmark of indexes of items: time to build and to search, and recall against the exact index at equal latency.

Vectors of unit length around random centres, as trained towers have them; the queries lie around the same centres. One
thread, CPU time. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import faiss
import numpy as np

from tzrec.retrieval.faiss_index import FaissIndex
from tzrec.retrieval.index import VectorIndex, build_index
from tzrec.retrieval.options import IndexOptions

DIMENSION, CENTRES, SPREAD, COUNT = 64, 1000, 1.0, 100
NPROBES, EF_SEARCHES = (1, 2, 5, 10, 20, 50, 100, 200), (100, 150, 200, 300, 500, 800)


@dataclass(frozen=True)
class Point:
    """One setting of an index: CPU milliseconds of a query, and recall against the exact index."""

    setting: str
    ms: float
    recall: float


def unit_vectors(count: int, centres: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw vectors `(count, DIMENSION)` of length 1 around the centres."""
    noise = rng.standard_normal((count, DIMENSION)) * SPREAD
    vectors = centres[rng.integers(0, len(centres), count)] + noise
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def cpu_seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU time and result of a call."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def measure(index: VectorIndex, setting: str, queries: np.ndarray, exact: np.ndarray) -> Point:
    """Search for one query at a time, as a server does."""
    seconds, rows = cpu_seconds(lambda: [index.search(query[None], COUNT).rows[0] for query in queries])
    recall = np.mean([len(np.intersect1d(one, other)) / COUNT for one, other in zip(rows, exact)])
    return Point(setting, seconds / len(queries) * 1e3, float(recall))


def recall_at(points: list[Point], ms: float) -> float:
    """Recall of an index at a latency: on the line between the settings below and above it."""
    return float(np.interp(ms, [point.ms for point in points], [point.recall for point in points]))


def main() -> None:
    """Print a line per index, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CENTRES, DIMENSION))
    items, queries = unit_vectors(args.items, centres, rng), unit_vectors(args.queries, centres, rng)
    settings = {
        "ExactIP": ("", [0]),
        "FlatIP": ("", [0]),
        "IVFFlatIP": ("nprobe", NPROBES),
        "HNSWFlatIP": ("ef_search", EF_SEARCHES),
    }
    exact = np.empty(0)
    points: dict[str, list[Point]] = {}
    build_s: dict[str, float] = {}
    for index_type, (name, values) in settings.items():
        options = IndexOptions(index_type)
        build_s[index_type], index = cpu_seconds(lambda options=options: build_index(items, options))
        if index_type == "ExactIP":
            exact = index.search(queries, COUNT).rows
        points[index_type] = []
        for value in values:
            if name and isinstance(index, FaissIndex):
                index = index.with_options(IndexOptions(index_type, **{name: value}))
            points[index_type].append(measure(index, f"{name} {value}" if name else "all", queries, exact))
        shown = "  ".join(f"{p.setting}: {p.ms:.2f} ms {p.recall:.3f}" for p in points[index_type])
        print(f"{index_type:<11} built in {build_s[index_type]:6.1f} s CPU   {shown}", flush=True)
    flat_ms = points["FlatIP"][0].ms
    same = [
        {"ms": p.ms, "of_exact": p.ms / flat_ms, "hnsw": p.recall, "ivf": recall_at(points["IVFFlatIP"], p.ms)}
        for p in points["HNSWFlatIP"]
    ]
    for row in same:
        print(
            "at {ms:.2f} ms, {of_exact:.2f} x that of FlatIP: HNSWFlatIP {hnsw:.3f}   IVFFlatIP {ivf:.3f}".format(**row)
        )
    result = {
        "items": args.items,
        "dimension": DIMENSION,
        "recall_at": COUNT,
        "build_cpu_s": build_s,
        "points": {kind: [asdict(point) for point in row] for kind, row in points.items()},
        "recall_at_same_latency": same,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
