"""Build an index of items: the function behind `tzrec index`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tzrec.data.parts.directory import read_manifest
from tzrec.errors import PackageError
from tzrec.formatting import format_bytes
from tzrec.live_line import live_line
from tzrec.log import logger
from tzrec.retrieval.exact_index import ExactIndex
from tzrec.retrieval.index import VectorIndex, build_index
from tzrec.retrieval.index_files import IndexManifest, write_index
from tzrec.retrieval.options import IndexOptions
from tzrec.retrieval.table import read_items
from tzrec.retrieval.vectors import ItemVectors
from tzrec.run.predict import PredictOptions, predict
from tzrec.serving.manifest_file import MANIFEST
from tzrec.serving.package_manifest import PackageManifest
from tzrec.serving.predictor import package_config
from tzrec.serving.retriever import ensure_same_training, user_output
from tzrec.storage.path import to_path

_NUM_QUERIES = _NUM_FOUND = 100
"""Queries and neighbours by which an index is compared to the exact one."""


@dataclass(frozen=True)
class ItemSource:
    """Items to index.

    Attributes:
        input_path: comma list of globs.
        id_field: column of their ids.
        embedding_field: column of their vectors; "" if a package computes them.
        package_dir: package of an item tower that computes the vectors; "" if they are a column.
        reader: format of the files, one of READERS; None to choose it by the extension, or by the config of a package.
        batch_rows: number of rows that are read, or scored, at a time.
    """

    input_path: str
    id_field: str
    embedding_field: str = ""
    package_dir: str = ""
    reader: str | None = None
    batch_rows: int | None = None

    def read(self) -> tuple[ItemVectors, str]:
        """Read or compute the vectors.

        Returns:
            the items, and the digest of the checkpoint that their vectors were computed with; "" if it is not known.

        Raises:
            DataError: the files cannot be read, or a column is missing or holds something else.
            PackageError: there is no package, or it computes no vector.
        """
        if not self.package_dir:
            items = read_items(self.input_path, self.id_field, self.embedding_field, self.reader, self.batch_rows)
            return items, _origin(self.input_path)
        manifest = PackageManifest.read(to_path(self.package_dir))
        output = _item_output(self.package_dir, manifest)
        config = package_config(self.package_dir, {} if self.reader is None else self._dataset())
        with tempfile.TemporaryDirectory(prefix="tzrec-items-") as folder:
            options = PredictOptions((self.id_field,), (output,), self.batch_rows, file_format="parquet")
            predict(config, self.input_path, f"{folder}/vectors", self.package_dir, options=options)
            return read_items(f"{folder}/vectors", self.id_field, output), manifest.checkpoint

    def _dataset(self) -> Mapping[str, Any]:
        assert self.reader is not None
        return {"data_config.dataset_type": f"{self.reader.removesuffix('Reader')}Dataset"}


def index(source: ItemSource, directory: Path, options: IndexOptions) -> IndexManifest:
    """Build the index of items, write it into a directory, and compare it with the exact one.

    Args:
        source: the items.
        directory: of the package of the user tower, or any other one.
        options: type of the index.

    Raises:
        DataError: the items cannot be read.
        PackageError: the package of the items is missing, damaged or without vectors, or the package in the directory
            is not of the same training.
        SetupError: faiss is needed and not installed.
    """
    user = PackageManifest.read(directory) if (directory / MANIFEST).exists() else None
    items, trained = source.read()
    if user is not None:
        trained = _ensure_belongs(user, directory, items.dimension, trained)
    start = time.perf_counter()
    options = options.for_items(len(items.ids))
    with live_line.counting(f"index  build {options} of {len(items.ids):,} items"):
        vectors = build_index(items.values, options)
    seconds = time.perf_counter() - start
    manifest = write_index(directory, vectors, items, options, trained)
    size = format_bytes(sum(record.size for record in manifest.files.values()))
    count = f"{manifest.num_items:,} items x {manifest.dimension:,}"
    logger.info("index  %s  %s   %s   built in %.1f s   %s", directory, count, options, seconds, size)
    with live_line.counting("index  compare with the exact one"):
        measured = _measure(vectors, items)
    logger.info("       %s", measured)
    return manifest


def _ensure_belongs(user: PackageManifest, directory: Path, dimension: int, trained: str) -> str:
    """Check that items belong to a package of users; return the digest of their checkpoint."""
    outputs = [output for program in user.programs.values() for output in program.outputs]
    user_output(directory, outputs, dimension)
    ensure_same_training(directory, user, trained)
    if not trained and user.checkpoint:
        logger.warning(
            "index  %s: the files do not tell the checkpoint of the item vectors; it is taken to be that of this "
            "package. Files that tzrec predict writes tell it",
            directory,
        )
    return trained or user.checkpoint


def _origin(input_path: str) -> str:
    """Digest of the checkpoint of vectors that `tzrec predict` wrote; "" if another program wrote them."""
    path = Path(input_path)
    directory = path if path.is_dir() else path.parent
    return str((read_manifest(directory) or {}).get("checkpoint", ""))


def _item_output(package_dir: str, manifest: PackageManifest) -> str:
    """Name of the only output of a package that is a vector."""
    outputs = [output for program in manifest.programs.values() for output in program.outputs]
    names = [output.name for output in outputs if len(output.shape) == 1]
    if len(names) == 1:
        return names[0]
    given = ", ".join(f"{output.name} {list(output.shape)}" for output in outputs)
    raise PackageError(
        f"{package_dir} has {len(names)} outputs that are vectors (its outputs: {given}); give the package of an item "
        "tower, or predict the items and pass --embedding_field"
    )


def _measure(vectors: VectorIndex, items: ItemVectors) -> str:
    """Describe recall and time of searches for some of the items."""
    rows = np.unique(np.linspace(0, vectors.num_items - 1, _NUM_QUERIES).astype(np.int64))
    queries, count = items.values[rows], min(_NUM_FOUND, vectors.num_items)
    start = time.perf_counter()
    for query in queries:
        vectors.search(query[None], count)
    milliseconds = (time.perf_counter() - start) / len(queries) * 1e3
    recall = recall_of(vectors, ExactIndex(items.values, vectors.metric), queries, count)
    return f"recall@{count} {recall:.3f} of exact, with {len(rows)} items as queries   {milliseconds:.1f} ms a query"


def recall_of(vectors: VectorIndex, exact: VectorIndex, queries: np.ndarray, count: int) -> float:
    """Mean share of the nearest vectors of queries `(Q, D)` that an index finds."""
    pairs = zip(vectors.search(queries, count).rows, exact.search(queries, count).rows)
    return float(np.mean([len(np.intersect1d(one, other)) / count for one, other in pairs]))
