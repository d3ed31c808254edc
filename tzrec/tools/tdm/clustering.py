"""Balanced hierarchical k-means: a tree of items in which neighbors have similar vectors.

Zhu et al., KDD 2018, section 3.4: the items are clustered into n parts of equal size, and these again, until a part
is a node with at most n items. k-means is that of scikit-learn.
"""

from __future__ import annotations

import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from tzrec.data.tree.item_tree import ItemTree
from tzrec.errors import SetupError, TrainingError
from tzrec.features.arrays import Float32Array, FloatArray, Int64Array

SMALL = 1024
"""Largest number of items of a part that one process finishes by itself."""

Part = tuple[int, Int64Array]
"""A node: its code, and the indices of the items below it."""
_Apply = Callable[[Callable[[Float32Array, Part], Any], Sequence[Part]], Iterator[Any]]
_vectors: Float32Array
"""Vectors of all items in a worker process, set by its initializer."""


def cluster(vectors: Float32Array, n: int, num_processes: int = 1) -> ItemTree:
    """Build the tree of items by their vectors. It does not depend on the number of processes.

    Args:
        vectors: of each item, `(N, D)`.
        n: children of a node.
        num_processes: number of processes; 1 for this one.

    Raises:
        SetupError: scikit-learn is not installed.
        TrainingError: a process was killed.
    """
    require_sklearn()
    codes = np.zeros(len(vectors), dtype=np.int64)
    with _workers(vectors, num_processes) as apply:
        parts: list[Part] = [(0, np.arange(len(vectors)))]
        small: list[Part] = []
        while parts:
            small += [part for part in parts if len(part[1]) <= SMALL]
            large = [part for part in parts if len(part[1]) > SMALL]
            parts = [child for children in apply(partial(_split, n), large) for child in children]
        for indices, leaves in apply(partial(_finish, n), small):
            codes[indices] = leaves
    return ItemTree.from_codes(codes, n)


def require_sklearn() -> None:
    """Check that scikit-learn is installed.

    Raises:
        SetupError: it is not.
    """
    try:
        import sklearn  # noqa: F401
        import threadpoolctl  # noqa: F401
    except ImportError:
        message = "clustering a tree needs scikit-learn, which is not installed: pip install 'tzrec[tree]'"
        raise SetupError(message) from None


@contextmanager
def _workers(vectors: Float32Array, num_processes: int) -> Iterator[_Apply]:
    """Yield a function that applies another one to the vectors and each part, in processes and in any order."""
    if num_processes == 1 or len(vectors) <= SMALL:
        with _one_thread():
            yield lambda function, parts: (function(vectors, part) for part in parts)
        return
    with tempfile.TemporaryDirectory(prefix="tzrec-cluster-") as directory:
        path = Path(directory) / "vectors.npy"
        np.save(path, vectors)
        # spawned, not forked: a fork does not copy the threads of Arrow and OpenMP, and their locks may be held
        pool = ProcessPoolExecutor(num_processes, get_context("spawn"), _open_vectors, (path,))
        try:
            yield lambda function, parts: (
                future.result() for future in as_completed([pool.submit(_call, function, part) for part in parts])
            )
        except BrokenProcessPool:
            raise TrainingError(
                "a clustering process was killed, possibly out of memory; run it again with a smaller --parallel"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _open_vectors(path: Path) -> None:
    global _vectors
    _vectors = np.load(path, mmap_mode="r")
    _one_thread()


def _one_thread() -> Any:
    """Let k-means use one thread: the order in which several add would change the result."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def _call(function: Callable[[Float32Array, Part], Any], part: Part) -> Any:
    return function(_vectors, part)


def _split(n: int, vectors: Float32Array, part: Part) -> list[Part]:
    """Split a part with more than n items into its n children."""
    code, indices = part
    members = balanced_clusters(vectors[indices], n)
    return [(n * code + 1 + child, indices[rows]) for child, rows in enumerate(members)]


def _finish(n: int, vectors: Float32Array, part: Part) -> tuple[Int64Array, Int64Array]:
    """Split a part down to single items; returns their indices and codes."""
    codes, ahead = np.full(len(part[1]), part[0], dtype=np.int64), deque([(part[0], np.arange(len(part[1])))])
    members = vectors[part[1]]
    while ahead:
        code, rows = ahead.popleft()
        if len(rows) > n:
            ahead += _split(n, members, (code, rows))
        elif len(rows) > 1 or code == 0:
            codes[rows] = n * code + 1 + np.arange(len(rows))
        else:
            codes[rows] = code
    return part[1], codes


def balanced_clusters(vectors: Float32Array, n: int) -> list[Int64Array]:
    """Cluster vectors into n parts whose sizes differ by at most one.

    A cluster of k-means keeps the `floor(N / n)` members nearest to its center; those with fewer take the nearest of
    the rest, in turn. The up to n - 1 members that remain go to one cluster each, in order.

    Args:
        vectors: `(N, D)`, more than n.
        n: number of clusters.

    Returns:
        per cluster the rows of its members, its own ones from the center outwards.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters
        model = KMeans(n, random_state=0).fit(vectors)
    distances = _squared_distances(vectors, model.cluster_centers_)
    size, members, rest = len(vectors) // n, [], []
    for cluster_index in range(n):
        own = np.flatnonzero(model.labels_ == cluster_index)
        own = own[np.argsort(distances[own, cluster_index], kind="stable")]
        members.append(own[:size])
        rest.append(own[size:])
    pool = np.concatenate(rest)
    for cluster_index in range(n):
        missing = size - len(members[cluster_index])
        nearest = np.argsort(distances[pool, cluster_index], kind="stable")[:missing]
        members[cluster_index] = np.concatenate([members[cluster_index], pool[nearest]])
        pool = np.delete(pool, nearest)
    for cluster_index, row in enumerate(pool):
        members[cluster_index] = np.append(members[cluster_index], row)
    return members


def _squared_distances(vectors: Float32Array, centers: FloatArray) -> FloatArray:
    """(N, D), (n, D) -> (N, n), exact where a product of matrices would cancel digits."""
    return np.stack([((vectors - center) ** 2).sum(1) for center in centers], axis=1)
