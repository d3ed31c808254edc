"""Jobs that gather the rows of this rank for every step from the streams that are its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from tzrec.data.batch import Cursor
from tzrec.data.batch_jobs import one_batch
from tzrec.data.block_reader import open_streams
from tzrec.data.dealing import RowRanges, deal, rows_consumed
from tzrec.data.prefetch import ReadAhead
from tzrec.data.reader import PIECE_ROWS, Piece, Reader
from tzrec.data.shuffle import permutation, regroup
from tzrec.data.streams import Section, drop_rows, sections_of
from tzrec.features.arrays import Int64Array

_LEAST_PIECE_ROWS = 1024

Rows = tuple[pa.RecordBatch, Int64Array]
"""Rows, and their numbers over all files."""


@dataclass(frozen=True)
class StreamJob:
    """The rows of one step on this rank, not gathered yet.

    Attributes:
        after: rows of the epoch that all ranks together have consumed after the step.
        rows: rows of this rank that count; 0 if it repeats one.
        parts: consecutive rows of windows.
    """

    after: int
    rows: int
    parts: Sequence[Rows]

    def gather(self) -> Rows:
        """Gather the rows into one batch; returns it with their numbers over all files."""
        batches, numbers = zip(*self.parts, strict=True)
        return one_batch(pa.Table.from_batches(batches)), np.concatenate(numbers)


@dataclass(frozen=True)
class _RawWindow:
    """Rows as they were read; row `order[i]` comes i-th, and all in turn without an order."""

    pieces: Sequence[Piece]
    order: Int64Array | None

    def arrange(self) -> Rows:
        """Copy the rows into their order."""
        table = pa.Table.from_batches([piece.batch for piece in self.pieces])
        numbers = np.concatenate([piece.first + np.arange(piece.batch.num_rows) for piece in self.pieces])
        if self.order is None:
            return one_batch(table), numbers
        return one_batch(table.take(pa.array(self.order))), numbers[self.order]


class _StreamRows:
    """Rows of a stream in the order of the epoch; while one window is used, the next one is read ahead.

    It is read from the second step of a window on, so that the first step need not wait for it.
    """

    def __init__(self, windows: Iterator[_RawWindow], num_left: int, read_ahead: ReadAhead) -> None:
        """Begin to read, unless no rows are left.

        Args:
            windows: the rows from the position on; the last row of the stream if none are left.
            num_left: number of rows from the position on.
            read_ahead: reads the windows.
        """
        self._windows, self._read_ahead = windows, read_ahead
        self._num_unread = num_left
        self._rows: Rows | None = None
        self._used = 0
        self._next: Callable[[], Rows] | None = None
        self._read_next()

    def _submit(self) -> Callable[[], Rows]:
        return self._read_ahead.submit(lambda: next(self._windows).arrange())

    def _read_next(self) -> None:
        if self._next is None and self._num_unread > 0:
            self._next = self._submit()

    def take(self, rows: int) -> Iterator[Rows]:
        """Yield the next rows."""
        if self._rows:
            self._read_next()
        while rows:
            batch, numbers = self._rows or self._open_window()
            begin, end = self._used, min(self._used + rows, batch.num_rows)
            yield batch.slice(begin, end - begin), numbers[begin:end]
            rows -= end - begin
            self._used = end
            if end == batch.num_rows and self._num_unread:
                self._rows = None
                self._read_next()

    def last_row(self) -> Rows:
        """Return the last row again, after all rows were taken."""
        batch, numbers = self._rows or self._open_window()
        return batch.slice(batch.num_rows - 1), numbers[-1:]

    def _open_window(self) -> Rows:
        self._rows, self._used = (self._next or self._submit())(), 0
        self._next = None
        self._num_unread -= self._rows[0].num_rows
        return self._rows


class _StreamOpener:
    """Content of the streams of an epoch, as the first deal divides it.

    Args:
        reader: of the rows.
        cursor: its deals are those of the epoch.
        seed: of the shuffle.
        num_own: number of streams that this rank reads.
    """

    def __init__(self, reader: Reader, cursor: Cursor, seed: int, num_own: int) -> None:
        block_starts = reader.block_starts()
        assert block_starts is not None
        num_streams = cursor.deals[0].num_streams
        self._reader = reader
        self._key = (seed, cursor.epoch)
        self._window = -(-cursor.window // num_streams) if cursor.window > 1 else None
        order = None if self._window is None else permutation((*self._key, 0), len(block_starts) - 1)
        self._streams = deal(block_starts, num_streams, order)
        self._is_first_deal = len(cursor.deals) == 1
        share = PIECE_ROWS // num_own if self._window is None else self._window
        self._piece_rows = min(max(share, _LEAST_PIECE_ROWS), PIECE_ROWS)

    def open(self, streams: Sequence[Sequence[Section]]) -> list[Iterator[_RawWindow]]:
        """Return an iterator over the windows of each stream."""
        if not self._is_first_deal:  # sections of a shared block may be read at different times
            return [chain.from_iterable(map(self._open_section, sections)) for sections in streams]
        spans = [self._spans(section) for sections in streams for section in sections]
        pieces = iter(open_streams(self._reader, spans, self._piece_rows))
        windows = [[self._windows(section, next(pieces)) for section in sections] for sections in streams]
        return [chain.from_iterable(stream_windows) for stream_windows in windows]

    def _open_section(self, section: Section) -> Iterator[_RawWindow]:
        (pieces,) = open_streams(self._reader, [self._spans(section)], self._piece_rows)
        return self._windows(section, pieces)

    def _spans(self, section: Section) -> RowRanges:
        """Rows of the windows that a section overlaps."""
        size = self._window or 1
        begin, end = section.begin // size * size, -(-section.end // size) * size
        return self._streams[section.stream].rows_between(begin, end)

    def _windows(self, section: Section, pieces: Iterator[Piece]) -> Iterator[_RawWindow]:
        if self._window is None:
            yield from (_RawWindow([piece], None) for piece in pieces)
            return
        number = section.begin // self._window
        for window in regroup(pieces, self._window):
            first = number * self._window
            key = (*self._key, section.stream + 1, number)
            order = permutation(key, sum(piece.batch.num_rows for piece in window))
            yield _RawWindow(window, order[max(section.begin - first, 0) : section.end - first])
            number += 1


def stream_jobs(
    reader: Reader, cursor: Cursor, rank: int, world_size: int, seed: int, is_dropping: bool, read_ahead: ReadAhead
) -> Iterator[StreamJob]:
    """Yield this rank's job of every step of all ranks together.

    A rank that has no rows left in the last, short step repeats one row.

    Args:
        reader: of the rows; knows its blocks.
        cursor: first position; its last deal is the one in use.
        rank: this rank.
        world_size: number of ranks; divides the number of streams.
        seed: of the shuffle.
        is_dropping: leave out a short step.
        read_ahead: reads the windows of all streams.
    """
    assert reader.num_rows is not None
    current = cursor.deals[-1]
    contents = sections_of(reader.num_rows, cursor.deals)
    sizes = np.array([sum(section.num_rows for section in sections) for sections in contents])
    own = slice(current.num_streams * rank // world_size, current.num_streams * (rank + 1) // world_size)
    position, stop = current.rows, int(sizes.sum())
    consumed = rows_consumed(position, current.batch, sizes)
    opener = _StreamOpener(reader, cursor, seed, own.stop - own.start)
    begins = np.maximum(np.minimum(consumed, sizes - 1), 0)
    rest = [drop_rows(sections, begin) for sections, begin in zip(contents[own], begins[own], strict=True)]
    num_left = (sizes - consumed)[own].tolist()
    streams = [_StreamRows(*args, read_ahead) for args in zip(opener.open(rest), num_left, strict=True)]
    while position < stop and (position + current.batch <= stop or not is_dropping):
        position = min(position + current.batch, stop)
        after = rows_consumed(position, current.batch, sizes)
        counts = (after - consumed)[own].tolist()
        consumed = after
        parts = list(chain.from_iterable(stream.take(rows) for stream, rows in zip(streams, counts, strict=True)))
        repeated = [] if parts else [_row_to_repeat(reader, streams, sizes[own])]
        yield StreamJob(cursor.row - current.rows + position, sum(counts), parts or repeated)


def _row_to_repeat(reader: Reader, streams: Sequence[_StreamRows], sizes: Int64Array) -> Rows:
    """Return the last row of a stream; the first row of the data if the streams have none at all."""
    for stream, size in zip(streams, sizes, strict=True):
        if size:
            return stream.last_row()
    piece = next(reader.read(0, 1, 1))
    return piece.batch, np.array([piece.first])
