"""VectorIndex: the nearest of many vectors, by inner product or squared distance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tzrec.retrieval.options import IndexOptions, Metric
from tzrec.retrieval.vectors import Floats

Rows = npt.NDArray[np.int64]


class Neighbours(NamedTuple):
    """Nearest items of each query, best first.

    Attributes:
        scores: inner products, the greatest first, or squared distances, the smallest first, `(Q, K)` float32.
        rows: their rows in the index, `(Q, K)`; -1 after the last item if an index has, or a search finds, fewer.
    """

    scores: Floats
    rows: Rows


class VectorIndex(ABC):
    """Index of vectors; several threads may search it at once.

    Attributes:
        num_items: number of vectors.
        dimension: their width.
        metric: `IP` or `L2`.
    """

    num_items: int
    dimension: int
    metric: Metric

    @abstractmethod
    def search(self, queries: Floats, count: int) -> Neighbours:
        """Find the nearest vectors of each query.

        Args:
            queries: `(Q, dimension)`.
            count: K, how many to find.

        Returns:
            `(Q, K)`.
        """

    @abstractmethod
    def write(self, path: Path) -> None:
        """Write the index to a file."""


def build_index(values: Floats, options: IndexOptions) -> VectorIndex:
    """Build an index of vectors `(N, D)`, of which there is at least one.

    Raises:
        SetupError: faiss is needed and not installed.
    """
    options = options.for_items(len(values))
    if options.kind == "Exact":
        from tzrec.retrieval.exact_index import ExactIndex

        return ExactIndex(values, options.metric)
    from tzrec.retrieval.faiss_index import FaissIndex

    return FaissIndex.build(values, options)


def open_index(path: Path, options: IndexOptions) -> VectorIndex:
    """Open a file that `VectorIndex.write` wrote; its vectors are mapped, not read.

    Raises:
        SetupError: faiss is needed and not installed.
        PackageError: it is no such file.
    """
    if options.kind == "Exact":
        from tzrec.retrieval.exact_index import ExactIndex

        return ExactIndex.open(path, options.metric)
    from tzrec.retrieval.faiss_index import FaissIndex

    return FaissIndex.open(path, options)
