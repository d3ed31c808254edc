"""Deal the blocks of an epoch into streams of equal length.

A rank reads the streams that are its own, so the streams are a partition of the rows. Whole blocks go to the stream
with the fewest rows so far. A block that does not fit is dealt in small units among as few streams as can hold it, and
one that is longer than a stream among all of them: a reader of several of these streams meets the rows of the block in
file order, and reads it once.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tzrec.features.arrays import Int64Array

UNIT_ROWS = 1024
"""Rows of a unit of a large block; smaller blocks have smaller units, for an order closer to that of the file."""
_UNITS_PER_STREAM = 64


@dataclass(frozen=True)
class RowRanges:
    """Rows of one stream: ranges of rows over all files, in reading order.

    Attributes:
        blocks: the block of each range `(spans,)`.
        starts, stops: the first row of each range and the row after its last one `(spans,)`.
    """

    blocks: Int64Array
    starts: Int64Array
    stops: Int64Array

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def num_rows(self) -> int:
        """Rows of the stream."""
        return int((self.stops - self.starts).sum())

    def rows_between(self, begin: int, end: int) -> RowRanges:
        """Return the part from the `begin`-th to the `end`-th row of the stream."""
        ends = np.cumsum(self.stops - self.starts)
        begins = ends - (self.stops - self.starts)
        is_kept = (ends > begin) & (begins < end)
        starts = self.starts + np.maximum(begin - begins, 0)
        stops = self.stops - np.maximum(ends - end, 0)
        return RowRanges(self.blocks[is_kept], starts[is_kept], stops[is_kept])


def even_sizes(rows: int, parts: int) -> Int64Array:
    """Sizes of parts that differ by at most one row `(parts,)`; so do the sums of any `parts / n` neighbours."""
    return np.diff(np.arange(parts + 1) * rows // parts)


def deal(block_starts: Int64Array, num_streams: int, order: Int64Array | None = None) -> list[RowRanges]:
    """Deal all rows into streams of `even_sizes`.

    Without an order, a row comes at a position in its stream that is at most one block away from its share of the
    position in the files. Blocks that are longer than a stream do not count for this bound.

    Args:
        block_starts: first row of every block, and the number of rows `(blocks + 1,)`.
        num_streams: number of streams.
        order: permutation of the blocks; None for the order of the files.
    """
    num_blocks = len(block_starts) - 1
    sizes = np.diff(block_starts).tolist()
    dealing = _Dealing(even_sizes(int(block_starts[-1]), num_streams).tolist())
    for block in range(num_blocks) if order is None else order.tolist():
        if sizes[block]:
            dealing.add(block, int(block_starts[block]), sizes[block])
    return [_to_spans(spans) for spans in dealing.spans]


class _Dealing:
    """Streams that are being filled.

    Attributes:
        spans: (block, start, stop) of every stream so far.
    """

    def __init__(self, sizes: list[int]) -> None:
        self.spans: list[list[tuple[int, int, int]]] = [[] for _ in sizes]
        self._sizes = sizes
        self._rooms = list(sizes)
        self._heap = [(0, stream) for stream in range(len(sizes)) if sizes[stream]]  # by rows, then number

    def add(self, block: int, start: int, rows: int) -> None:
        """Deal the rows of a block."""
        fill, stream = self._heap[0]
        if rows < self._rooms[stream]:
            heapq.heapreplace(self._heap, (fill + rows, stream))
            self._append(stream, block, start, start + rows)
        elif rows == self._rooms[stream]:
            heapq.heappop(self._heap)
            self._append(stream, block, start, start + rows)
        else:
            self._add_in_units(block, start, rows)

    def _add_in_units(self, block: int, start: int, rows: int) -> None:
        shares = self._shares(rows)
        unit = min(max(rows // (_UNITS_PER_STREAM * len(shares)), 1), UNIT_ROWS)
        heap = [(self._sizes[stream] - self._rooms[stream], stream) for stream in shares]
        heapq.heapify(heap)
        stop = start + rows
        while start < stop:
            fill, stream = heap[0]
            size = min(unit, shares[stream], stop - start)
            self._append(stream, block, start, start + size)
            start += size
            shares[stream] -= size
            if shares[stream]:
                heapq.heapreplace(heap, (fill + size, stream))
            else:
                heapq.heappop(heap)
        self._heap = [(self._sizes[s] - room, s) for s, room in enumerate(self._rooms) if room]
        heapq.heapify(self._heap)

    def _shares(self, rows: int) -> dict[int, int]:
        """Greatest number of rows of a block that each stream takes."""
        rooms = sorted((room, stream) for stream, room in enumerate(self._rooms) if room)
        if rows > max(self._sizes):
            return {stream: room for room, stream in rooms}
        shares: dict[int, int] = {}
        for room, stream in rooms:
            if not rows:
                break
            shares[stream] = min(room, rows)
            rows -= shares[stream]
        return shares

    def _append(self, stream: int, block: int, start: int, stop: int) -> None:
        self._rooms[stream] -= stop - start
        spans = self.spans[stream]
        if spans and spans[-1][0] == block and spans[-1][2] == start:
            spans[-1] = (block, spans[-1][1], stop)
        else:
            spans.append((block, start, stop))


def _to_spans(spans: Sequence[tuple[int, int, int]]) -> RowRanges:
    table = np.array(spans, np.int64).reshape(len(spans), 3)
    return RowRanges(*(np.ascontiguousarray(column) for column in table.T))


def rows_consumed(position: int, batch: int, sizes: Int64Array) -> Int64Array:
    """Rows of each stream among the first `position` rows of all streams `(streams,)`.

    Any number of ranks that divides both `batch` and the number of streams finds an equal number of rows in the
    streams of each rank. Fewer rows than streams in a batch go to the streams of a rank in turn.

    Args:
        position: a multiple of `batch`, or of the number of streams, or all rows.
        batch: rows of a step.
        sizes: rows of each stream, of `even_sizes` `(streams,)`.
    """
    if position == sizes.sum():
        return sizes
    num_groups = int(np.gcd(batch, len(sizes)))
    group_size = len(sizes) // num_groups
    # the streams of a group that are one row longer than others come first
    turns = np.argsort(np.argsort(-sizes.reshape(num_groups, group_size), axis=1, kind="stable"), axis=1).ravel()
    consumed: npt.NDArray[np.int64] = (position // num_groups + group_size - 1 - turns) // group_size
    return consumed
