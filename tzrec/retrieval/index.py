"""VectorIndex: the nearest of many vectors, by inner product or squared distance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tzrec.retrieval.vectors import Floats

Rows = npt.NDArray[np.int64]
Metric = Literal["IP", "L2"]
IVF, HNSW = "IVFFlat", "HNSWFlat"

INDEX_TYPES = ("ExactIP", "ExactL2", "FlatIP", "FlatL2", "IVFFlatIP", "IVFFlatL2", "HNSWFlatIP", "HNSWFlatL2")
"""Kind and metric: exact in NumPy; of faiss: exact, lists around centroids, a graph of neighbours."""


@dataclass(frozen=True)
class IndexOptions:
    """Kind of an index and its parameters; those of other kinds are not read.

    Attributes:
        index_type: one of INDEX_TYPES.
        nlist: IVF: number of lists, at most that of the items.
        nprobe: IVF: number of lists that a search reads, at most `nlist`.
        num_links: HNSW: links of an item in the graph, `M`.
        ef_construction: HNSW: candidates that are considered when an item is added.
        ef_search: HNSW: candidates that a search considers, at least the number of items to find.
    """

    index_type: str = "FlatIP"
    nlist: int = 1000
    nprobe: int = 80
    num_links: int = 32
    ef_construction: int = 200
    ef_search: int = 128

    @property
    def kind(self) -> str:
        """`Exact`, `Flat`, `IVFFlat` or `HNSWFlat`."""
        return self.index_type[:-2]

    @property
    def metric(self) -> Metric:
        """`IP`, the inner product, or `L2`, the squared distance."""
        return "IP" if self.index_type.endswith("IP") else "L2"

    def for_items(self, num_items: int) -> IndexOptions:
        """Limit the number of lists to that of the items, and the lists read to the lists there are."""
        nlist = min(self.nlist, num_items)
        return IndexOptions(**asdict(self) | {"nlist": nlist, "nprobe": min(self.nprobe, nlist)})

    def to_json(self) -> dict[str, Any]:
        """Kind and the parameters that it reads."""
        names = {IVF: ("nlist", "nprobe"), HNSW: ("num_links", "ef_construction", "ef_search")}.get(self.kind, ())
        return {"index_type": self.index_type, **{name: getattr(self, name) for name in names}}

    def __str__(self) -> str:
        details = {IVF: f", {self.nprobe:,} of {self.nlist:,} lists", HNSW: f", {self.num_links} links"}
        return self.index_type + details.get(self.kind, "")


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
