"""Ordered prefetching: run jobs on threads, at most `depth` ahead of the consumer, and return results in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

from tzrec.data.job_timer import JobTimer

T = TypeVar("T")
_JOIN_TIMEOUT_S = 5.0
"""A read that hangs, on a remote store, does not keep the process from ending."""


class _Task(Generic[T]):
    """A job and its outcome; `value` or `error` is set when `is_done`."""

    def __init__(self, job: Callable[[], T]) -> None:
        self.job = job
        self.is_done = False
        self.value: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.value = self.job()
        except BaseException as error:
            self.error = error

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class ReadAhead:
    """Jobs for the threads of a PrefetchQueue that have nothing else to do.

    A job that no thread has started when its result is needed runs in the thread that needs it. So everything works,
    in turn, without any threads.

    Args:
        timer: adds up the time of the jobs, as `read`; default: one that nobody asks.
    """

    def __init__(self, timer: JobTimer | None = None) -> None:
        self._timer = timer or JobTimer()
        self.changed = threading.Condition()
        self.tasks: deque[_Task[Any]] = deque()
        self.is_closed = False

    def submit(self, job: Callable[[], T]) -> Callable[[], T]:
        """Queue a job; the returned function waits for it and returns its result."""
        task = _Task(partial(self._timer.call, "read", job))
        with self.changed:
            self.tasks.append(task)
            self.changed.notify_all()
        return partial(self._result, task)

    def _result(self, task: _Task[T]) -> T:
        with self.changed:
            if self.is_closed:
                raise RuntimeError("the queue is closed")
            is_pending = task in self.tasks
            if is_pending:
                self.tasks.remove(task)
            else:
                self.changed.wait_for(lambda: task.is_done)
        if is_pending:
            task.run()
        return task.result()


class PrefetchQueue(Iterator[T]):
    """Iterator over the results of jobs, in their order.

    One thread draws from `jobs`, `threads` threads call them. An exception of either is raised to the consumer after
    the results before it. The threads start with the first item, or earlier with `start`. They end and are joined with
    the last item, with an exception, and with `close`.

    Args:
        jobs: the functions to call; drawn from in a single thread.
        threads: number of threads that call them; 0 calls them in the thread of the consumer.
        depth: maximum number of jobs that are drawn before their results are taken.
        read_ahead: jobs that `jobs` submits, which the threads call while no job waits.
    """

    def __init__(
        self, jobs: Iterator[Callable[[], T]], threads: int, depth: int, read_ahead: ReadAhead | None = None
    ) -> None:
        self._jobs = jobs
        self._read_ahead = read_ahead or ReadAhead()
        self._num_threads = threads
        self._depth = depth
        self._threads: list[threading.Thread] = []
        self._changed = self._read_ahead.changed
        self._tasks: deque[_Task[T]] = deque()  # in order, until the consumer takes them
        self._pending: deque[_Task[T]] = deque()  # not started
        self._is_exhausted = False  # no further jobs
        self._is_closed = False

    def start(self) -> None:
        """Start the threads, unless they run or the queue is closed."""
        with self._changed:  # `close` in another thread then sees all threads started, or starts none
            if self._threads or self._is_closed or not self._num_threads:
                return
            targets = [self._draw] + [self._work] * self._num_threads
            self._threads = [threading.Thread(target=target, name="tzrec-data", daemon=True) for target in targets]
            for thread in self._threads:
                thread.start()

    def __next__(self) -> T:
        try:
            return self._next()
        except BaseException:
            self.close()
            raise

    def _next(self) -> T:
        if self._is_closed:
            raise StopIteration
        if not self._num_threads:
            return next(self._jobs)()
        self.start()
        with self._changed:
            self._changed.wait_for(self._has_next_or_end)
            if self._is_closed or not self._tasks:
                raise StopIteration
            task = self._tasks.popleft()
            self._changed.notify_all()
        return task.result()

    def _has_next_or_end(self) -> bool:
        return self._is_closed or (self._tasks[0].is_done if self._tasks else self._is_exhausted)

    def close(self) -> None:
        """End and join the threads; running jobs are finished, a waiting consumer receives the end of the iteration."""
        with self._changed:
            was_closed, self._is_closed = self._is_closed, True
            self._read_ahead.is_closed = True
            self._changed.notify_all()
        if not was_closed:
            for thread in self._threads:
                thread.join(_JOIN_TIMEOUT_S)

    def _draw(self) -> None:
        """Thread: append the jobs, at most `depth` ahead of the consumer."""
        try:
            for job in self._jobs:
                if not self._append(_Task(job)):
                    return
        except BaseException as error:
            self._append(_failed(error))
        finally:
            with self._changed:
                self._is_exhausted = True
                self._changed.notify_all()

    def _append(self, task: _Task[T]) -> bool:
        """Append a task once there is room; returns False if the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or len(self._tasks) < self._depth)
            if self._is_closed:
                return False
            self._tasks.append(task)
            if not task.is_done:
                self._pending.append(task)
            self._changed.notify_all()
            return True

    def _work(self) -> None:
        """Thread: run tasks until there are no more."""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._pending or self._read_ahead.tasks or self._is_exhausted or self._is_closed
                )
                if self._is_closed or (self._is_exhausted and not self._pending):
                    return
                task = (self._pending or self._read_ahead.tasks).popleft()
            task.run()
            with self._changed:
                task.is_done = True
                self._changed.notify_all()


def _failed(error: BaseException) -> _Task[T]:
    task: _Task[T] = _Task(lambda: None)  # type: ignore[arg-type, return-value]
    task.error, task.is_done = error, True
    return task
