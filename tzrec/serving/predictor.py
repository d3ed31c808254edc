"""Predictor: scores of raw rows, encoded as in training."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from os import PathLike
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tzrec.config.load import load_config
from tzrec.data.null_words import without_words
from tzrec.errors import DataError, PackageError, UsageError
from tzrec.features.arrays import Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.assets import locate_assets
from tzrec.serving.fetch import local_package
from tzrec.serving.frames import as_table, like
from tzrec.serving.package import CONFIG, open_package
from tzrec.serving.package_manifest import PackageManifest
from tzrec.serving.request_signature import RequestSignature
from tzrec.serving.retriever import Retriever
from tzrec.serving.signature import Signature


class Scorer(Protocol):
    """Encoded features in, outputs out: a `Program` of a package, or a `Servable`."""

    @property
    def signature(self) -> Signature | RequestSignature: ...

    def predict(self, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]: ...


class Predictor:
    """Score tables of raw columns, named as in the training data; labels are not needed.

    Args:
        scorer: the model.
        config: of the model.
        encoder: the features of that config.
        open_retriever: opens the index of items in the package of a user tower.

    Attributes:
        scorer, config, encoder: the same.
        is_strict: True if a bad value is an error.
        on_stage: called with the name and the seconds of each stage, "encode" and "forward"; None for nothing.
    """

    def __init__(
        self,
        scorer: Scorer,
        config: EasyRecConfig,
        encoder: FeatureEncoder,
        open_retriever: Callable[[], Retriever] | None = None,
    ) -> None:
        self.scorer, self.config, self.encoder = scorer, config, encoder
        self._open_retriever, self._lock = open_retriever, threading.Lock()
        self._retriever: Retriever | None = None
        self.on_stage: Callable[[str, float], None] | None = None
        self.is_strict = config.data_config.bad_row_policy == data_pb2.ERROR

    @property
    def columns(self) -> tuple[str, ...]:
        """Raw columns that `predict` reads."""
        return self.encoder.columns

    def predict(self, frame: Any) -> Any:
        """Score rows.

        Args:
            frame: a pyarrow Table or RecordBatch, a pandas or polars frame, any object with an Arrow C stream, or a
                dict of columns.

        Returns:
            one row for each row of the input, in its order; outputs in alphabetical order, float32 numbers or lists. A
            frame of pandas, with the index of the input, or of polars, if the input is one; else a pyarrow.Table.

        Raises:
            DataError: not a frame, no rows, a column that is missing, exists twice or has a type that cannot be read,
                or a bad value where `bad_row_policy` is ERROR; under the other policies a bad value becomes the default
                of its feature. Columns that are not read may hold anything.
        """
        return like(self.predict_table(frame), frame)

    def predict_table(self, frame: Any) -> pa.Table:
        """Score rows as `predict` does, and return a pyarrow.Table for every kind of frame."""
        return pa.concat_tables([to_arrow(outputs) for outputs in self._outputs(frame)])

    def retrieve(self, frame: Any, k: int) -> Any:
        """Find the items nearest to users, with the index that `tzrec index` wrote into the package of a user tower.

        Of a user with several interests, each item is found once, with its best score. Several threads may call this.

        Args:
            frame: the users; as for `predict`.
            k: how many items to find for each.

        Returns:
            as `predict` a frame, one row for each user, in the order of the input: `ids`, the items as in the indexed
            table, and `scores`, inner products or squared distances, float32; both are lists with the best item first.

        Raises:
            DataError: as for `predict`.
            PackageError: there is no index, it is damaged, or it is of another training than the package.
            SetupError: it is an index of faiss, which is not installed.
            UsageError: `k` is no whole number from 1 up.
        """
        if type(k) is not int or k < 1:
            raise UsageError(f"retrieve: k must be a whole number from 1 up; received {k!r}")
        retriever = self._opened_retriever()
        return like(pa.concat_tables([retriever.retrieve(outputs, k) for outputs in self._outputs(frame)]), frame)

    def open_index(self) -> None:
        """Open the index of items now, which the first call of `retrieve` does otherwise.

        Raises:
            PackageError: there is no index, it is damaged, or it is of another training than the package.
            SetupError: it is an index of faiss, which is not installed.
        """
        self._opened_retriever()

    def _opened_retriever(self) -> Retriever:
        with self._lock:  # opened with the first request
            if self._retriever is None:
                if self._open_retriever is None:
                    raise PackageError("only a package that `tzrec.load` has opened can hold an index of items")
                self._retriever = self._open_retriever()
            return self._retriever

    def _outputs(self, frame: Any) -> Iterator[dict[str, Tensor]]:
        """Yield the outputs of the rows of a frame, batch by batch."""
        table = self._table(frame, self.columns)
        if table.num_rows == 0:
            raise DataError("the table has no rows")
        for first_row, batch in self._batches(table):
            yield self._score(batch, first_row)

    def rank(self, user: Any, items: Any) -> pa.Table:
        """Score items for one user: the same as `predict` of rows that all have the user's columns.

        Features that depend on the user alone are encoded once.

        Args:
            user: a frame with one row, see `predict`; columns that the items have too are taken from the items.
            items: a frame with a row for each item.

        Returns:
            one row for each item, in their order; see `predict`.

        Raises:
            DataError: as `predict`; or the user is not one row.

        Example:
            >>> scores = tzrec.load("export").rank(pa.table({"user_id": ["u1"]}), pa.table({"item_id": [1, 2, 3]}))
        """
        one = self._table(user, self._read_columns(user))
        if one.num_rows != 1:
            raise DataError(f"the user is {one.num_rows} rows, not one")
        num_items = as_table(items, self._read_columns(items)).num_rows
        return self.rank_users(one, items, np.zeros(num_items, np.int64))

    def rank_users(self, users: Any, items: Any, owners: Int64Array) -> pa.Table:
        """Score the items of several requests together: the same as `rank` for each user, one after the other.

        Args:
            users: a frame with a row for each user, U rows.
            items: a frame with a row for each item, B rows.
            owners: row in `users` of the user of each item, `(B,)`, in any order.

        Returns:
            one row for each item, in their order; see `predict`.

        Raises:
            DataError: as `predict`.

        Example:
            >>> users, items = pa.table({"user_id": ["u1", "u2"]}), pa.table({"item_id": [1, 2, 3]})
            >>> scores = tzrec.load("export").rank_users(users, items, np.array([0, 0, 1]))
        """
        tables = [self._table(frame, self._read_columns(frame)).combine_chunks() for frame in (users, items)]
        if tables[1].num_rows == 0:
            raise DataError("the table of items has no rows")
        one = tables[0].to_batches()[0]
        batches = self._batches(tables[1])
        return pa.concat_tables([self._rank(one, batch, owners, first_row) for first_row, batch in batches])

    def _rank(self, users: pa.RecordBatch, items: pa.RecordBatch, owners: Int64Array, first_row: int) -> pa.Table:
        """Score some of the items of `rank_users`, from a row on."""
        with self._stage("encode"):
            request, bad = self.encoder.encode_request(users, items, owners[first_row : first_row + items.num_rows])
        self._ensure_good(bad, first_row)
        with self._stage("forward"), torch.inference_mode():
            return to_arrow(self.scorer.predict(self.scorer.signature.from_request(request)))

    def _table(self, frame: Any, columns: Sequence[str]) -> pa.Table:
        """Convert columns of a frame, with nulls for the words that mean a missing value."""
        table, words = as_table(frame, columns), self.config.data_config.null_values
        if not words:
            return table
        arrays = [without_words(table.column(name).combine_chunks(), words) for name in columns]
        return pa.table(dict(zip(columns, arrays, strict=True)))

    def _read_columns(self, frame: Any) -> list[str]:
        """Columns of a frame that the model reads."""
        if isinstance(frame, (pa.Table, pa.RecordBatch)):
            names = frame.schema.names
        else:
            names = list(frame if isinstance(frame, Mapping) else frame.columns)
        return [name for name in self.columns if name in names]

    def _batches(self, table: pa.Table) -> Iterator[tuple[int, pa.RecordBatch]]:
        batch_size = self.config.export_config.max_batch_size
        for first_row in range(0, table.num_rows, batch_size):
            yield first_row, table.slice(first_row, batch_size).combine_chunks().to_batches()[0]

    def _score(self, batch: pa.RecordBatch, first_row: int) -> dict[str, Tensor]:
        with self._stage("encode"):
            columns, bad = self.encoder.encode(batch)
        self._ensure_good(bad, first_row)
        with self._stage("forward"), torch.inference_mode():
            return self.scorer.predict(self.scorer.signature.from_columns(columns, batch.num_rows))

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.on_stage is not None:
            self.on_stage(name, time.perf_counter() - start)

    def _ensure_good(self, bad: BadRows, first_row: int) -> None:
        if bad and self.is_strict:
            raise bad_value(bad, first_row)


def load(path: str | PathLike[str]) -> Predictor:
    """Open an exported package; one in a store is copied to this machine.

    Raises:
        PackageError: it is missing, damaged or too new.
    """
    directory = local_package(path)
    package = open_package(directory)
    config = package_config(directory)
    program, encoder = package.program(), FeatureEncoder.from_config(config.feature_configs, config.data_config)
    if config.data_config.WhichOneof("sampler") == "tdm_sampler":
        from tzrec.serving.tree_predictor import TreePredictor  # which imports this module

        return TreePredictor(program, config, encoder)
    return Predictor(program, config, encoder, partial(Retriever.open, directory, package.manifest, program.outputs))


def package_config(path: str | PathLike[str], edits: Mapping[str, Any] | None = None) -> EasyRecConfig:
    """Load the config of a package, with the paths of the files that the package contains.

    Raises:
        PackageError: there is no package.
        ConfigError: an edit does not fit the config.
    """
    directory = local_package(path)
    PackageManifest.read(directory)  # a better error than that of a missing config
    return locate_assets(load_config(str(directory / CONFIG), edits, ignore_unknown=True), directory)


def to_arrow(outputs: Mapping[str, Tensor]) -> pa.Table:
    """Convert outputs to columns, floats to float32, in alphabetical order.

    `(B,)` become numbers, `(B, C)` lists of C numbers, `(B, K, C)` lists of K lists.
    """
    return pa.table({name: _column(outputs[name]) for name in sorted(outputs)})


def _column(output: Tensor) -> pa.Array:
    values = output.float() if output.is_floating_point() else output
    column = pa.array(values.contiguous().view(-1).numpy())
    for axis in range(values.ndim - 1, 0, -1):
        num_lists, width = values.shape[:axis].numel(), values.shape[axis]
        column = pa.ListArray.from_arrays(pa.array(np.arange(num_lists + 1, dtype=np.int32) * width), column)
    return column


def bad_value(bad: BadRows, first_row: int) -> DataError:
    """Build the error of the first bad value of some rows, of which the first one has this number."""
    column, reason, rows, values = bad.reports[0]
    received = "is missing" if values[0] is None else f"has {str(values[0])!r}"
    return DataError(
        f'row {first_row + int(rows[0])}: column "{column}" {received}: {reason}. Correct it, or set '
        "data_config.bad_row_policy to DEFAULT when exporting"
    )
