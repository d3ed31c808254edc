"""From windows of rows to this rank's rows of every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.data.partition import BatchPartition, RankRows, even_range
from tzrec.data.shuffle import Window


@dataclass(frozen=True)
class Job:
    """One step's rows, not gathered yet.

    Attributes:
        step: which positions they are.
        windows: where they lie.
    """

    step: RankRows
    windows: tuple[Window, ...]

    def gather(self) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
        """The rows as one batch, and their numbers over all files."""
        parts = [window.select(self.step.begin, self.step.end) for window in self.windows]
        rows = np.concatenate([rows for _, rows in parts])
        return _one_batch(pa.concat_tables([table for table, _ in parts])), rows


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    whole = table if all(column.num_chunks == 1 for column in table.columns) else table.combine_chunks()
    return whole.to_batches()[0]


class _Held:
    """The windows read and not used up."""

    def __init__(self, windows: Iterator[Window], start: int) -> None:
        self._windows = windows
        self._held: deque[Window] = deque()
        self.stop = start

    def reach(self, position: int) -> bool:
        """Read until everything below `position` is there; False if the data ends before it."""
        while self.stop < position:
            window = next(self._windows, None)
            if window is None:
                return False
            self._held.append(window)
            self.stop = window.stop
        return True

    def job(self, step: RankRows) -> Job:
        """The job of a step, after letting go of what earlier steps used up."""
        while self._held[0].stop <= step.begin:
            self._held.popleft()
        return Job(step, tuple(self._held))


def shared(windows: Iterator[Window], share: BatchPartition, drop_remainder: bool) -> Iterator[Job]:
    """This rank's part of every step of all ranks together."""
    held = _Held(windows, share.start)
    position = share.start
    while held.reach(position + share.global_batch):
        step = share.full_step(position)
        yield held.job(step)
        position = step.after
    if position < held.stop and not drop_remainder:
        yield held.job(share.last_step(position, held.stop))


def contiguous(rows: int, batch_size: int, rank: int, world_size: int) -> list[RankRows]:
    """Steps over one contiguous range of the rows per rank, as many on every rank.

    A rank whose range is used up repeats one row, so that all ranks do their collective operations together.
    """
    begin, end = even_range(rank, world_size, 0, rows)
    longest = -(-rows // world_size)
    steps = []
    for first in range(begin, begin + longest, batch_size):
        after = min(first + batch_size, end)
        spare = max(end - 1, 0)
        steps.append(
            RankRows(after, first, after, after - first) if first < end else RankRows(end, spare, spare + 1, 0)
        )
    return steps


def given(windows: Iterator[Window], steps: list[RankRows]) -> Iterator[Job]:
    """The jobs of steps that are known beforehand."""
    held = _Held(windows, steps[0].begin)
    for step in steps:
        held.reach(step.end)
        yield held.job(step)
