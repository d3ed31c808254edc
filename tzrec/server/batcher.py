"""Batcher: requests that wait while others are scored are scored together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import pyarrow as pa

from tzrec.errors import TzrecError
from tzrec.protos.serve_pb2 import QueueConfig
from tzrec.server.errors import TOO_LATE, TOO_MANY, UNAVAILABLE, RequestError


@dataclass(frozen=True)
class _QueuedRequest:
    rows: pa.Table
    since: float
    result: Future[pa.Table] = field(default_factory=Future)


class Batcher:
    """Queue of rows to score, with a thread that scores them.

    There is no waiting for further requests: what has arrived while a batch was scored is the next batch. So a single
    client waits for nothing, and the batches grow with the load.

    Args:
        score: scores a table; rows of several requests with equal columns and types stand in one.
        config: of the queue.
        observe: called with the rows of each batch and the seconds that its first request waited.
    """

    def __init__(
        self, score: Callable[[pa.Table], pa.Table], config: QueueConfig, observe: Callable[[int, float], None]
    ) -> None:
        self._score, self._config, self._observe = score, config, observe
        self._queue: deque[_QueuedRequest] = deque()
        self._num_rows = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
        self._thread.start()

    def submit(self, rows: pa.Table) -> Future[pa.Table]:
        """Queue rows; the result has their scores, or the error that they cause.

        Raises:
            RequestError: too many rows are waiting, or the model was unloaded.
        """
        waiting = _QueuedRequest(rows, time.monotonic())
        with self._changed:
            if self._is_closed:
                raise RequestError("the model was unloaded", UNAVAILABLE)
            if self._queue and self._num_rows + rows.num_rows > self._config.max_rows:
                raise RequestError(f"{self._num_rows} rows are waiting already; try again later", TOO_MANY)
            self._queue.append(waiting)
            self._num_rows += rows.num_rows
            self._changed.notify()
        return waiting.result

    def close(self) -> None:
        """Score what is waiting, then end the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

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
                self._observe(sum(waiting.rows.num_rows for waiting in batch), time.monotonic() - batch[0].since)
                self._answer(batch)

    def _next_batch(self) -> list[_QueuedRequest]:
        """Wait for requests and take the first ones, of equal columns; none once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_closed)
            batch: list[_QueuedRequest] = []
            num_rows = 0
            while self._queue:
                rows = self._queue[0].rows
                is_too_many = num_rows + rows.num_rows > self._config.max_batch_rows
                if batch and (is_too_many or rows.schema != batch[0].rows.schema):
                    break
                num_rows += rows.num_rows
                batch.append(self._queue.popleft())
            self._num_rows -= num_rows
            return batch

    def _answer(self, batch: list[_QueuedRequest]) -> None:
        try:
            scores = self._score(pa.concat_tables([waiting.rows for waiting in batch]))
        except Exception as error:
            if len(batch) > 1:  # each by itself: a bad value of one request must not refuse the others
                for waiting in batch:
                    self._answer([waiting])
                return
            is_request = isinstance(error, TzrecError) and not isinstance(error, RequestError)
            batch[0].result.set_exception(RequestError(str(error)) if is_request else error)
            return
        first = 0
        for waiting in batch:
            waiting.result.set_result(scores.slice(first, waiting.rows.num_rows))
            first += waiting.rows.num_rows
