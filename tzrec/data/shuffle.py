"""Order of an epoch: rows are permuted inside windows, so that a Cursor is enough to resume in the middle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.data.partition import BatchPartition
from tzrec.data.reader import Piece, Reader


@dataclass(frozen=True)
class Window:
    """Rows in memory, addressed by their position in the order of the epoch.

    Attributes:
        table: the rows, in file order; of a shuffled window only the rows of this rank.
        rows: number over all files of every row of `table`.
        positions: sorted positions of the rows of `table`.
        index: row of `table` at each of `positions`; None for the same order.
        stop: positions below it are in this window or in an earlier one.
    """

    table: pa.Table
    rows: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64] | None
    stop: int

    def select(self, begin: int, end: int) -> tuple[pa.Table, npt.NDArray[np.int64]]:
        """Return the rows of this window at positions `begin` to `end`, and their numbers over all files."""
        low, high = np.searchsorted(self.positions, (begin, end))
        if self.index is None:
            return self.table.slice(low, high - low), self.rows[low:high]
        indices = self.index[low:high]
        return self.table.take(pa.array(indices)), self.rows[indices]


def permutation(key: Sequence[int], rows: int) -> npt.NDArray[np.int64]:
    """Draw the order of the rows of one shuffle window, or of other things, from the seed and further numbers.

    Sorts the raw output of the generator, which numpy guarantees to be stable across releases, unlike its shuffles.
    """
    raw = np.random.PCG64(np.random.SeedSequence(tuple(key))).random_raw(rows)
    return np.argsort(raw, kind="stable")


def unshuffled_windows(reader: Reader, start: int) -> Iterator[Window]:
    """Yield the windows of an epoch without shuffling: the pieces as they are read."""
    for piece in reader.read(start):
        rows = np.arange(piece.first, piece.first + piece.batch.num_rows)
        yield Window(pa.Table.from_batches([piece.batch]), rows, rows, None, piece.first + piece.batch.num_rows)


def shuffled_windows(reader: Reader, size: int, partition: BatchPartition, seed: int, epoch: int) -> Iterator[Window]:
    """Yield windows of `size` rows, each permuted; windows before the start of `partition` are not read."""
    number = partition.start // size
    for pieces in regroup(reader.read(number * size), size):
        order = permutation((seed, epoch, number), _rows(pieces))
        yield _shuffle(pieces, number * size, order, partition, reader.num_rows)
        number += 1


def regroup(pieces: Iterator[Piece], size: int) -> Iterator[list[Piece]]:
    """Regroup pieces into windows of `size` rows."""
    window: list[Piece] = []
    room = size
    for piece in pieces:
        rest: Piece | None = piece
        while rest is not None:
            window.append(Piece(rest.batch.slice(0, room), rest.first))
            rows = rest.batch.num_rows
            rest = Piece(rest.batch.slice(room), rest.first + room) if rows > room else None
            room -= min(rows, room)
            if not room:
                yield window
                window, room = [], size
    if window:
        yield window


def _rows(pieces: list[Piece]) -> int:
    return sum(piece.batch.num_rows for piece in pieces)


def _shuffle(
    pieces: list[Piece], first: int, order: npt.NDArray[np.int64], partition: BatchPartition, stop: int | None
) -> Window:
    """Keep the rows of this rank: position `first + i` is row `order[i]` of the window."""
    positions = first + np.arange(len(order))
    mask = partition.mask(positions, stop)
    is_kept = np.zeros(len(order), dtype=np.bool_)
    is_kept[order[mask]] = True
    table_row = np.cumsum(is_kept) - 1  # row of the window -> row of the table
    batches = [piece.batch if is_kept.all() else piece.batch.filter(is_kept[_span(piece, first)]) for piece in pieces]
    rows = first + np.flatnonzero(is_kept)
    return Window(pa.Table.from_batches(batches), rows, positions[mask], table_row[order[mask]], first + len(order))


def _span(piece: Piece, first: int) -> slice:
    return slice(piece.first - first, piece.first - first + piece.batch.num_rows)
