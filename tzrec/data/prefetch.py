"""Doing jobs ahead of their consumer: on several threads, in bounded number, handed over in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _Slot(Generic[T]):
    """One job's place in the line; `value` or `error` is set when it is done."""

    def __init__(self, job: Callable[[], T]) -> None:
        self.job = job
        self.done = False
        self.value: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.value = self.job()
        except BaseException as error:
            self.error = error

    def take(self) -> T:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class _PrefetchQueue(Generic[T]):
    """The slots between the thread that finds jobs, the threads that do them, and the consumer."""

    def __init__(self, jobs: Iterator[Callable[[], T]], depth: int) -> None:
        self.jobs = jobs
        self.depth = depth
        self.changed = threading.Condition()
        self.slots: deque[_Slot[T]] = deque()  # in order, until the consumer takes them
        self.waiting: deque[_Slot[T]] = deque()  # not begun
        self.complete = False  # no more slots will come
        self.stopped = False  # the consumer has left

    def find(self) -> None:
        """Thread: fill the line with jobs, no more than `depth` ahead of the consumer."""
        try:
            for job in self.jobs:
                if not self._append(_Slot(job)):
                    return
        except BaseException as error:
            self._append(_failed(error))
        finally:
            with self.changed:
                self.complete = True
                self.changed.notify_all()

    def _append(self, slot: _Slot[T]) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or len(self.slots) < self.depth)
            if self.stopped:
                return False
            self.slots.append(slot)
            if not slot.done:
                self.waiting.append(slot)
            self.changed.notify_all()
            return True

    def work(self) -> None:
        """Thread: do jobs until there are none."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.complete or self.stopped)
                if self.stopped or not self.waiting:
                    return
                slot = self.waiting.popleft()
            slot.run()
            with self.changed:
                slot.done = True
                self.changed.notify_all()

    def next(self) -> _Slot[T] | None:
        """The next slot when it is done, None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: (self.slots and self.slots[0].done) or (self.complete and not self.slots))
            if not self.slots:
                return None
            slot = self.slots.popleft()
            self.changed.notify_all()
            return slot

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()


def _failed(error: BaseException) -> _Slot[T]:
    slot: _Slot[T] = _Slot(lambda: None)  # type: ignore[arg-type, return-value]
    slot.error, slot.done = error, True
    return slot


def ordered_prefetch(jobs: Iterator[Callable[[], T]], threads: int, depth: int) -> Iterator[T]:
    """Results of jobs, in their order, worked out ahead of the consumer.

    One thread draws from `jobs`, `threads` threads call them. What any of them raises is raised here, after the
    results before it. Leaving the iterator stops all of them.

    Args:
        jobs: what to call; drawn from in a single thread.
        threads: how many call; 0 does everything in the consumer's thread.
        depth: how many jobs are drawn at most before their results are taken.
    """
    if threads == 0:
        yield from (job() for job in jobs)
        return
    line = _PrefetchQueue(jobs, depth)
    targets = [line.find] + [line.work] * threads
    running = [threading.Thread(target=target, name="tzrec-data", daemon=True) for target in targets]
    for thread in running:
        thread.start()
    try:
        while (slot := line.next()) is not None:
            yield slot.take()
    finally:
        line.stop()
        for thread in running:
            thread.join(timeout=5)
