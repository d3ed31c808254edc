"""Batcher: requests that wait while others are scored are scored together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import pyarrow as pa

from tzrec.errors import TzrecError
from tzrec.protos.serve_pb2 import QueueConfig
from tzrec.server.errors import TOO_LATE, TOO_MANY, UNAVAILABLE, RequestError


@dataclass(frozen=True)
class ScoringRequest:
    """Rows to score.

    Attributes:
        rows: raw columns, B rows.
        user: raw columns of one row that all rows share; None if `rows` has all columns.
    """

    rows: pa.Table
    user: pa.Table | None = None

    @property
    def schemas(self) -> tuple[pa.Schema, ...]:
        """Names and types of the columns."""
        return (self.rows.schema,) if self.user is None else (self.rows.schema, self.user.schema)


@dataclass(frozen=True)
class _QueuedRequest:
    request: ScoringRequest
    since: float
    result: Future[pa.Table] = field(default_factory=Future)

    @property
    def num_rows(self) -> int:
        return int(self.request.rows.num_rows)


class Batcher:
    """Queue of rows to score, with threads that score them.

    There is no waiting for further requests: what has arrived while batches were scored is the next batch. So a single
    client waits for nothing, and the batches grow with the load.

    Args:
        score: scores requests that fit each other; returns the scores of all their rows, one request after the other.
        config: of the queue.
        observe: called with the rows of each batch and the seconds that its first request waited.
        num_threads: batches that are scored at the same time.
    """

    def __init__(
        self,
        score: Callable[[Sequence[ScoringRequest]], pa.Table],
        config: QueueConfig,
        observe: Callable[[int, float], None],
        num_threads: int = 1,
    ) -> None:
        self._score, self._config, self._observe = score, config, observe
        self._queue: deque[_QueuedRequest] = deque()
        self._num_rows = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run, name=f"scoring {number}", daemon=True) for number in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, request: ScoringRequest) -> Future[pa.Table]:
        """Queue a request; the result has the scores of its rows, or the error that they cause.

        Raises:
            RequestError: too many rows are waiting, or the model was unloaded.
        """
        waiting = _QueuedRequest(request, time.monotonic())
        with self._changed:
            if self._is_closed:
                raise RequestError("the model was unloaded", UNAVAILABLE)
            if self._queue and self._num_rows + waiting.num_rows > self._config.max_rows:
                raise RequestError(f"{self._num_rows} rows are waiting already; try again later", TOO_MANY)
            self._queue.append(waiting)
            self._num_rows += waiting.num_rows
            self._changed.notify()
        return waiting.result

    def close(self) -> None:
        """Score what is waiting, then end the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            batch = [waiting for waiting in batch if waiting.result.set_running_or_notify_cancel()]
            late = time.monotonic() - self._config.deadline_s
            for waiting in batch:
                if waiting.since < late:
                    message = f"waited for more than {self._config.deadline_s:g} s; try again later"
                    waiting.result.set_exception(RequestError(message, TOO_LATE))
            batch = [waiting for waiting in batch if not waiting.result.done()]
            if batch:
                self._observe(sum(waiting.num_rows for waiting in batch), time.monotonic() - batch[0].since)
                self._answer(batch)

    def _next_batch(self) -> list[_QueuedRequest]:
        """Wait for requests and take the first one with those behind it that fit it; none once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_closed)
            batch: list[_QueuedRequest] = []
            unfit: list[_QueuedRequest] = []
            kinds: list[tuple[pa.Schema, ...]] = []  # the different ones of the batch
            num_rows = 0
            while self._queue and (not batch or num_rows + self._queue[0].num_rows <= self._config.max_batch_rows):
                waiting = self._queue.popleft()
                schemas = waiting.request.schemas
                if all(_fit(schemas, kind) for kind in kinds):
                    num_rows += waiting.num_rows
                    batch.append(waiting)
                    kinds += [] if schemas in kinds else [schemas]
                else:
                    unfit.append(waiting)
            self._queue.extendleft(reversed(unfit))
            self._num_rows -= num_rows
            if self._queue:  # for another thread
                self._changed.notify()
            return batch

    def _answer(self, batch: list[_QueuedRequest]) -> None:
        try:
            scores = self._score([waiting.request for waiting in batch])
        except Exception as error:
            if len(batch) > 1:  # a bad value of one request must not refuse the others
                middle = len(batch) // 2
                self._answer(batch[:middle])
                self._answer(batch[middle:])
                return
            is_request = isinstance(error, TzrecError) and not isinstance(error, RequestError)
            batch[0].result.set_exception(RequestError(str(error)) if is_request else error)
            return
        first = 0
        for waiting in batch:
            waiting.result.set_result(scores.slice(first, waiting.num_rows))
            first += waiting.num_rows


def _fit(left: tuple[pa.Schema, ...], right: tuple[pa.Schema, ...]) -> bool:
    """True if requests of two kinds can be scored together: their tables have the same columns, and types of which one
    is null where they differ."""
    return len(left) == len(right) and all(map(_is_alike, left, right))


def _is_alike(left: pa.Schema, right: pa.Schema) -> bool:
    if left.equals(right):
        return True
    if set(left.names) != set(right.names):
        return False
    pairs = ((left.field(name).type, right.field(name).type) for name in left.names)
    return all(one == other or pa.types.is_null(one) or pa.types.is_null(other) for one, other in pairs)
