"""The order of a pass: rows permuted inside windows, so that a place in it can be found again from a Cursor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.data.partition import BatchPartition
from tzrec.data.reader import Piece, Reader


@dataclass(frozen=True)
class Window:
    """Rows that are in memory, addressed by their position in the order of the pass.

    Attributes:
        table: the rows, in file order; of a shuffled window only the rows that this rank will read.
        rows: number over all files of every row of `table`.
        positions: sorted positions of the rows of `table`.
        index: which row of `table` stands at each of `positions`; None: the same one.
        stop: positions below it are in this window or in an earlier one.
    """

    table: pa.Table
    rows: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64] | None
    stop: int

    def select(self, begin: int, end: int) -> tuple[pa.Table, npt.NDArray[np.int64]]:
        """The rows at positions `begin` to `end` that are in this window, and their numbers over all files."""
        low, high = np.searchsorted(self.positions, (begin, end))
        if self.index is None:
            return self.table.slice(low, high - low), self.rows[low:high]
        chosen = self.index[low:high]
        return self.table.take(pa.array(chosen)), self.rows[chosen]


def permutation(seed: int, epoch: int, window: int, rows: int) -> npt.NDArray[np.int64]:
    """The order of the rows of one shuffle window.

    Sorts raw generator output, whose values numpy promises never to change; its own shuffles carry no such promise.
    """
    raw = np.random.PCG64(np.random.SeedSequence((seed, epoch, window))).random_raw(rows)
    return np.argsort(raw, kind="stable")


def in_order(reader: Reader, start: int) -> Iterator[Window]:
    """Windows of a pass that is not shuffled: the pieces as they are read."""
    for piece in reader.read(start):
        rows = np.arange(piece.first, piece.first + piece.batch.num_rows)
        yield Window(pa.Table.from_batches([piece.batch]), rows, rows, None, piece.first + piece.batch.num_rows)


def shuffled(reader: Reader, size: int, share: BatchPartition, seed: int, epoch: int) -> Iterator[Window]:
    """Windows of `size` rows, each permuted; those before the start of `share` are not read."""
    number = share.start // size
    for pieces in _in_windows(reader.read(number * size), size):
        yield _shuffle(pieces, number * size, permutation(seed, epoch, number, _rows(pieces)), share, reader.num_rows)
        number += 1


def _in_windows(pieces: Iterator[Piece], size: int) -> Iterator[list[Piece]]:
    """Regroup pieces, cutting them at multiples of `size` rows."""
    held: list[Piece] = []
    for piece in pieces:
        rest: Piece | None = piece
        while rest is not None:
            room = size - rest.first % size
            held.append(Piece(rest.batch.slice(0, room), rest.first))
            full = rest.batch.num_rows >= room
            rest = Piece(rest.batch.slice(room), rest.first + room) if rest.batch.num_rows > room else None
            if full:
                yield held
                held = []
    if held:
        yield held


def _rows(pieces: list[Piece]) -> int:
    return sum(piece.batch.num_rows for piece in pieces)


def _shuffle(
    pieces: list[Piece], first: int, order: npt.NDArray[np.int64], share: BatchPartition, stop: int | None
) -> Window:
    """Keep only the rows that this rank will read: position `first + i` shows row `order[i]` of the window."""
    positions = first + np.arange(len(order))
    mine = share.mine(positions, stop)
    wanted = np.zeros(len(order), dtype=np.bool_)
    wanted[order[mine]] = True
    place = np.cumsum(wanted) - 1  # row of the window -> row of the table
    kept = [piece.batch if wanted.all() else piece.batch.filter(wanted[_span(piece, first)]) for piece in pieces]
    rows = first + np.flatnonzero(wanted)
    return Window(pa.Table.from_batches(kept), rows, positions[mine], place[order[mine]], first + len(order))


def _span(piece: Piece, first: int) -> slice:
    return slice(piece.first - first, piece.first - first + piece.batch.num_rows)
