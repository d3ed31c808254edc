"""FaissIndex: flat, IVF-flat and HNSW indexes of faiss (Douze et al., "The Faiss library", arXiv 2401.08281).

HNSW is the graph of Malkov and Yashunin, arXiv 1603.09320. Files are mapped to memory: several processes share them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tzrec.errors import PackageError, SetupError, first_line
from tzrec.retrieval.index import Neighbours, VectorIndex
from tzrec.retrieval.options import HNSW, IVF, IndexOptions
from tzrec.retrieval.vectors import Floats


class FaissIndex(VectorIndex):
    """Index of faiss; `build` and `open` create one.

    Args:
        index: of faiss.
        options: its kind, and the effort of a search.
    """

    def __init__(self, index: Any, options: IndexOptions) -> None:
        self.num_items, self.dimension, self.metric = int(index.ntotal), int(index.d), options.metric
        self._index, self._options = index, options

    @classmethod
    def build(cls, values: Floats, options: IndexOptions) -> FaissIndex:
        """Build an index of vectors `(N, D)`.

        Raises:
            SetupError: faiss is not installed.
        """
        faiss = _import_faiss()
        metric = faiss.METRIC_INNER_PRODUCT if options.metric == "IP" else faiss.METRIC_L2
        dimension = values.shape[1]
        flat = faiss.IndexFlat(dimension, metric)
        if options.kind == IVF:
            index = faiss.IndexIVFFlat(flat, dimension, options.nlist, metric)
            index.cp.min_points_per_centroid = 1  # below it, faiss prints a warning
            index.train(values)
        elif options.kind == HNSW:
            index = faiss.IndexHNSWFlat(dimension, options.num_links, metric)
            index.hnsw.efConstruction = options.ef_construction
        else:
            index = flat
        index.add(values)
        return cls(index, options)

    def with_options(self, options: IndexOptions) -> FaissIndex:
        """The same index, whose searches make the effort that other options ask for."""
        return FaissIndex(self._index, options)

    def search(self, queries: Floats, count: int) -> Neighbours:
        if not len(queries):
            return Neighbours(np.zeros((0, count), np.float32), np.zeros((0, count), np.int64))
        faiss, options, parameters = _import_faiss(), self._options, None
        if options.kind == IVF:
            parameters = faiss.SearchParametersIVF(nprobe=options.nprobe)
        elif options.kind == HNSW:
            parameters = faiss.SearchParametersHNSW(efSearch=max(options.ef_search, count))
        scores, rows = self._index.search(np.ascontiguousarray(queries, np.float32), count, params=parameters)
        return Neighbours(np.where(rows >= 0, scores, np.float32(0)), rows)

    def write(self, path: Path) -> None:
        _import_faiss().write_index(self._index, str(path))

    @classmethod
    def open(cls, path: Path, options: IndexOptions) -> FaissIndex:
        """Map the index of a file.

        Raises:
            SetupError: faiss is not installed.
            PackageError: it is no file of faiss, or of a newer one.
        """
        faiss = _import_faiss()
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            message = f"{path} cannot be read by faiss {faiss.__version__}: {first_line(error)}"
            raise PackageError(f"{message}; upgrade faiss-cpu, or create the index again: tzrec index") from error
        return cls(index, options)


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise SetupError(
            "this index needs the package faiss-cpu: pip install 'tzrec[retrieval]'. An index of the type ExactIP or "
            "ExactL2 needs none"
        ) from None
    return faiss
