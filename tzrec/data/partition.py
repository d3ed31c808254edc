"""Share: which rows of every step are this rank's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class RankRows:
    """One step of all ranks together, and this rank's part of it. Positions count rows in reading order.

    Attributes:
        after: position after the step's last row, over all ranks.
        begin, end: this rank's rows. Where it has none left they name one row to repeat.
        rows: how many of this rank's rows count: `end - begin`, or 0.
    """

    after: int
    begin: int
    end: int
    rows: int


@dataclass(frozen=True)
class BatchPartition:
    """Cuts positions from `start` on into steps of `batch_size` rows on each of `world_size` ranks.

    The last, short step is split to within one row.
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
        """This rank's part of the full step that begins at position `first`."""
        begin = first + self.rank * self.batch_size
        return RankRows(first + self.global_batch, begin, begin + self.batch_size, self.batch_size)

    def last_step(self, first: int, stop: int) -> RankRows:
        """This rank's part of the short step `first` to `stop`."""
        begin, end = even_range(self.rank, self.world_size, first, stop)
        if begin == end:
            return RankRows(stop, first, first + 1, 0)
        return RankRows(stop, begin, end, end - begin)

    def mine(self, positions: npt.NDArray[np.int64], stop: int | None) -> npt.NDArray[np.bool_]:
        """Which positions this rank will read. While `stop` is unknown any of them may be in the last, short step."""
        if stop is None:
            return positions >= self.start
        offset = positions - self.start
        mine = (offset >= 0) & (offset // self.batch_size % self.world_size == self.rank)
        full_end = stop - (stop - self.start) % self.global_batch
        if full_end < stop:
            last = self.last_step(full_end, stop)
            mine = np.where(positions < full_end, mine, (positions >= last.begin) & (positions < last.end))
        return mine


def even_range(rank: int, world_size: int, start: int, stop: int) -> tuple[int, int]:
    """The part of `start` to `stop` that is this rank's when all parts are equal to within one row."""
    rows = stop - start
    return start + rows * rank // world_size, start + rows * (rank + 1) // world_size
