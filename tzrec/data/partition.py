"""Partition of the rows of every step among the ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class RankRows:
    """One step of all ranks together, and this rank's part of it. Positions count rows in reading order.

    Attributes:
        after: position after the step's last row, over all ranks.
        begin, end: rows of this rank; if it has none left, one row to repeat.
        rows: rows of this rank that count, `end - begin` or 0.
    """

    after: int
    begin: int
    end: int
    rows: int


@dataclass(frozen=True)
class BatchPartition:
    """Partition of the positions from `start` on into steps of `batch_size` rows on each of `world_size` ranks.

    The ranks' parts of the last, short step differ by at most one row.
    """

    batch_size: int
    rank: int = 0
    world_size: int = 1
    start: int = 0

    @property
    def global_batch(self) -> int:
        """Rows of a full step over all ranks."""
        return self.batch_size * self.world_size

    def full_step(self, first: int) -> RankRows:
        """Rows of this rank in the full step from position `first`."""
        begin = first + self.rank * self.batch_size
        return RankRows(first + self.global_batch, begin, begin + self.batch_size, self.batch_size)

    def last_step(self, first: int, stop: int) -> RankRows:
        """Rows of this rank in the short step from `first` to `stop`."""
        begin, end = even_range(self.rank, self.world_size, first, stop)
        if begin == end:
            return RankRows(stop, first, first + 1, 0)
        return RankRows(stop, begin, end, end - begin)

    def mask(self, positions: npt.NDArray[np.int64], stop: int | None) -> npt.NDArray[np.bool_]:
        """Mask of the positions that this rank may read. If `stop` is unknown, each may be in the last, short step."""
        if stop is None:
            return positions >= self.start
        offset = positions - self.start
        mask = (offset >= 0) & (offset // self.batch_size % self.world_size == self.rank)
        full_end = stop - (stop - self.start) % self.global_batch
        if full_end < stop:
            last = self.last_step(full_end, stop)
            mask = np.where(positions < full_end, mask, (positions >= last.begin) & (positions < last.end))
        return mask


def even_range(rank: int, world_size: int, start: int, stop: int) -> tuple[int, int]:
    """Part of a rank when `start` to `stop` is split into parts that differ by at most one row."""
    rows = stop - start
    return start + rows * rank // world_size, start + rows * (rank + 1) // world_size
