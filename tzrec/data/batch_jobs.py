"""Jobs that gather the rows of this rank for every step from windows of rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.data.partition import BatchPartition, RankRows
from tzrec.data.shuffle import Window


@dataclass(frozen=True)
class BatchJob:
    """The rows of one step, not gathered yet.

    Attributes:
        step: their positions.
        windows: the windows that contain them.
    """

    step: RankRows
    windows: tuple[Window, ...]

    @property
    def after(self) -> int:
        """Position after the step's last row, over all ranks."""
        return self.step.after

    @property
    def rows(self) -> int:
        """Rows of this rank that count."""
        return self.step.rows

    def gather(self) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
        """Gather the rows into one batch; returns it with their numbers over all files."""
        parts = [window.select(self.step.begin, self.step.end) for window in self.windows]
        rows = np.concatenate([rows for _, rows in parts])
        return one_batch(pa.concat_tables([table for table, _ in parts])), rows


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Convert a table to one batch; copies it if it has several chunks."""
    if any(column.num_chunks != 1 for column in table.columns):
        table = table.combine_chunks()
    return table.to_batches()[0]


class _WindowBuffer:
    """Windows that are read and still needed."""

    def __init__(self, windows: Iterator[Window], start: int) -> None:
        self._windows = windows
        self._buffer: deque[Window] = deque()
        self.stop = start

    def read_until(self, position: int) -> bool:
        """Read all rows below `position`; returns False if the data ends before it."""
        while self.stop < position:
            window = next(self._windows, None)
            if window is None:
                return False
            self._buffer.append(window)
            self.stop = window.stop
        return True

    def job(self, step: RankRows) -> BatchJob:
        """Create the job of a step, and drop the windows of earlier steps."""
        while self._buffer[0].stop <= step.begin:
            self._buffer.popleft()
        return BatchJob(step, tuple(self._buffer))


def global_batch_jobs(windows: Iterator[Window], partition: BatchPartition, drop_remainder: bool) -> Iterator[BatchJob]:
    """Yield this rank's job of every step of all ranks together."""
    buffer = _WindowBuffer(windows, partition.start)
    position = partition.start
    while buffer.read_until(position + partition.global_batch):
        step = partition.full_step(position)
        yield buffer.job(step)
        position = step.after
    if position < buffer.stop and not drop_remainder:
        yield buffer.job(partition.last_step(position, buffer.stop))
