"""ServedModel: one version of a model, ready to answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from tzrec import env
from tzrec.errors import DataError
from tzrec.log import logger
from tzrec.profile.training_profile import TrainingProfile
from tzrec.protos.serve_pb2 import QueueConfig
from tzrec.retrieval import index_files
from tzrec.server.batcher import Batcher, ScoringRequest
from tzrec.server.errors import NOT_FOUND, TOO_LARGE, RequestError
from tzrec.server.infer import complete_rows, ensure_known
from tzrec.server.metrics import Metrics
from tzrec.server.request_logger import RequestLogger
from tzrec.server.retrieve import RetrievalRequest
from tzrec.server.statistics import ModelStatistics
from tzrec.server.trace import RequestTrace, current_trace
from tzrec.serving.package_manifest import MODEL, PackageManifest
from tzrec.serving.predictor import Predictor, load
from tzrec.serving.profile import KIND as PROFILE_KIND
from tzrec.serving.sample import SampleRequest

_WARM_UP_ROWS = (1, 200)
_SCORING_S = 30
"""Time for the scoring of a batch, beside its waiting."""


class ServedModel:
    """A package that is loaded, with a queue of its own.

    Attributes:
        name: of the model.
        version: of the package.
        predictor: of the package.
        manifest: of the package.
        statistics: of its requests.

    Args:
        name: of the model.
        version: of the package.
        path: of the package.
        queue: its config.
        metrics: of the server.
        request_logger: logs the requests; None for no log.

    Raises:
        PackageError: the package is missing, damaged or too new.
    """

    def __init__(
        self,
        name: str,
        version: str,
        path: Path,
        queue: QueueConfig,
        metrics: Metrics,
        request_logger: RequestLogger | None = None,
    ) -> None:
        self.name, self.version = name, version
        self.manifest = PackageManifest.read(path)
        self.predictor: Predictor = load(path)
        self._metrics, self._request_logger = metrics, request_logger
        self._max_request_rows = queue.max_request_rows
        self.statistics = ModelStatistics()
        self._num_users, self._is_closing = 0, False
        self._released = threading.Condition()
        self._max_wait_s = queue.deadline_s + _SCORING_S
        self._warm_up(path)
        self.predictor.on_stage = metrics.observe_stage
        has_index = (path / index_files.MANIFEST).exists()
        if has_index:
            self.predictor.open_index()
        self._observer = metrics.features.add(name, version, self.predictor.encoder, self._profile(path))
        num_threads = queue.num_threads or env.available_cpus()
        self._batcher = Batcher(self._score, queue, self._observe_batch, num_threads)
        self._retrievals = Batcher(self._retrieve, queue, self._observe_batch) if has_index else None

    def _warm_up(self, path: Path) -> None:
        """Score the sample request, and rows without values, of text and of numbers, as rows and for a user, so that
        weights are in memory and kernels are loaded before the first request."""
        sample = SampleRequest.read(path, self.manifest)
        if sample is not None:
            with suppress(DataError):
                sample.score(self.predictor, max(_WARM_UP_ROWS))
        columns = self.predictor.columns
        sources = [source for feature in self.predictor.encoder.features.values() for source in feature.inputs]
        user = [name for name in columns if any(source.name == name and source.side == "user" for source in sources)]
        items = [name for name in columns if name not in user]
        for num_rows, value in product(_WARM_UP_ROWS, (None, "1", 1)):
            with suppress(DataError):  # bad_row_policy is ERROR, and the value a bad one: its kernels are loaded
                self.predictor.predict(_constant_rows(columns, value, num_rows))
            if user and items:
                with suppress(DataError):
                    self.predictor.rank(_constant_rows(user, value, 1), _constant_rows(items, value, num_rows))

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of each raw column, as the protocol describes them.

        Columns are read as text or as numbers alike, so the datatype is the usual one: BYTES.
        """
        return [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in self.predictor.columns]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of each output."""
        outputs = self.manifest.programs[MODEL].outputs
        datatypes = {"float": "FP32", "bfloat": "FP32", "int": "INT64", "bool": "BOOL"}
        return [
            {
                "name": output.name,
                "datatype": datatypes[output.dtype.rstrip("0123456789")],
                "shape": [-1, *output.shape],
            }
            for output in outputs
        ]

    def submit(self, rows: pa.Table) -> Future[pa.Table]:
        """Queue rows of raw columns.

        Raises:
            RequestError: there are too many rows, or see `complete_rows` and `Batcher.submit`.
        """
        self._ensure_size(rows)
        return self._submit(ScoringRequest(complete_rows(rows, self.predictor.columns)))

    def submit_rank(self, user: pa.Table, items: pa.Table) -> Future[pa.Table]:
        """Queue items to score for one user.

        Args:
            user: one row; columns that the items have too are taken from the items.
            items: a row for each item.

        Raises:
            RequestError: there are no items, or see `submit`.
        """
        columns = self.predictor.columns
        if items.num_rows == 0:
            raise RequestError("the table of items has no rows")
        self._ensure_size(items)
        names = [name for name in columns if name in user.column_names and name not in items.column_names]
        if not names:
            return self.submit(items)
        items = items.select([name for name in columns if name in items.column_names])
        missing = [name for name in columns if name not in names and name not in items.column_names]
        if items.num_columns == 0:  # ids only, and their feature store does not answer
            items, missing = complete_rows(items, missing), []
            ensure_known("the items have", items.column_names, columns, ())
        user = user.select(names)
        for name in missing:
            user = user.append_column(name, pa.nulls(1))
        return self._submit(ScoringRequest(items, user))

    def _ensure_size(self, rows: pa.Table) -> None:
        if rows.num_rows > self._max_request_rows:
            limit = f"more than {self._max_request_rows}; send them in several requests"
            raise RequestError(f"the request has {rows.num_rows} rows, {limit}", TOO_LARGE)

    def submit_retrieval(self, users: pa.Table, k: int) -> Future[pa.Table]:
        """Queue users to find k items for each; the result has more where a request beside it asks for more.

        Raises:
            RequestError: the package has no index of items, or see `submit`.
        """
        if self._retrievals is None:
            text = f'model "{self.name}" has no index of items; create one in its package with `tzrec index`'
            raise RequestError(text, NOT_FOUND)
        self._ensure_size(users)
        request = RetrievalRequest(complete_rows(users, self.predictor.columns), k=k)
        self._observe_request(request.rows)
        return self._retrievals.submit(request)

    def _submit(self, request: ScoringRequest) -> Future[pa.Table]:
        self._observe_request(request.rows, request.user)
        start = time.perf_counter()
        scores = self._batcher.submit(request)
        scores.add_done_callback(partial(self._on_scored, request, current_trace.get(), start))
        return scores

    def _observe_request(self, rows: pa.Table, user: pa.Table | None = None) -> None:
        """Count the rows of a request, look at them if it is time, and note them for the logs."""
        self._metrics.observe_rows(self.name, rows, user)
        self._metrics.features.offer(self._observer, rows, user)
        trace = current_trace.get()
        if trace is not None:
            trace.model = f"{self.name}/{self.version}"
            trace.num_rows += rows.num_rows

    def _on_scored(
        self, request: ScoringRequest, trace: RequestTrace | None, start: float, scores: Future[pa.Table]
    ) -> None:
        """Record a request that was answered or refused."""
        seconds, is_answered = time.perf_counter() - start, _is_answered(scores)
        self.statistics.record_request(is_answered, seconds)
        if trace is not None:
            trace.stages["queue and score"] = seconds
        if is_answered and self._request_logger is not None and self._request_logger.is_sampled():
            request_id, rows = "" if trace is None else trace.id, request.rows
            self._request_logger.log(request_id, self.name, self.version, request.user, rows, scores.result())

    def _profile(self, path: Path) -> TrainingProfile | None:
        """Profile of the training data; None if the package has none that this version can read."""
        content = self.manifest.contents.get(PROFILE_KIND)
        if content is None:
            return None
        try:
            return TrainingProfile.read(path / content.file)
        except DataError as error:
            logger.warning("serve  %s %s has no drift of its features: %s", self.name, self.version, error)
            return None

    def acquire(self) -> bool:
        """Let the model answer until `release`; returns False if it no longer does."""
        with self._released:
            self._num_users += not self._is_closing
            return not self._is_closing

    def release(self) -> None:
        """Let the model close, as far as the one who has acquired it is concerned."""
        with self._released:
            self._num_users -= 1
            self._released.notify()

    def close(self) -> None:
        """Answer those who have acquired the model, and end."""
        with self._released:
            self._is_closing = True
            self._released.wait_for(lambda: self._num_users == 0, self._max_wait_s)
        self._batcher.close()
        if self._retrievals is not None:
            self._retrievals.close()
        self._metrics.features.remove(self._observer)

    def _score(self, requests: Sequence[ScoringRequest]) -> pa.Table:
        start = time.monotonic()
        torch.set_num_threads(1)  # of this thread: the other cores score other batches
        scores = self._predict(requests)
        self._metrics.observe_stage("score", time.monotonic() - start)
        self._metrics.observe_scores(self.name, scores)
        self.statistics.record_batch(scores.num_rows, time.monotonic() - start)
        return scores

    def _retrieve(self, requests: Sequence[ScoringRequest]) -> pa.Table:
        start = time.monotonic()
        users = pa.concat_tables([request.rows for request in requests], promote_options="default")
        k = max(request.k for request in requests if isinstance(request, RetrievalRequest))
        found_items = self.predictor.retrieve(users, k)
        self._metrics.observe_stage("retrieve", time.monotonic() - start)
        return found_items

    def _observe_batch(self, num_rows: int, waited_s: float) -> None:
        self._metrics.observe_batch(self.name, num_rows, waited_s)
        self.statistics.record_wait(waited_s)

    def _predict(self, requests: Sequence[ScoringRequest]) -> pa.Table:
        """Score requests that fit each other, all with a user or all without."""
        rows = pa.concat_tables([request.rows for request in requests], promote_options="default")
        users = [request.user for request in requests if request.user is not None]
        if not users:
            return self.predictor.predict(rows)
        counts = [request.rows.num_rows for request in requests]
        owners = np.repeat(np.arange(len(users)), counts)  # (B,)
        return self.predictor.rank_users(pa.concat_tables(users, promote_options="default"), rows, owners)


def _is_answered(scores: Future[pa.Table]) -> bool:
    return not scores.cancelled() and scores.exception() is None


def _constant_rows(columns: Sequence[str], value: str | int | None, num_rows: int) -> pa.Table:
    return pa.table({name: pa.array([value] * num_rows) for name in columns})
