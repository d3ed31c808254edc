"""Read the spans of streams: pieces of each stream in its order, a block that several streams share only once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from tzrec.data.dealing import RowRanges
from tzrec.data.reader import Piece, Reader


class SharedBlock:
    """Rows of one block that belong to several streams, or lie apart: read once, in the order of the file.

    Streams that advance together read the block together, so few rows wait for the other streams. Threads may share it.
    """

    def __init__(self, reader: Reader, block: int, streams: Sequence[RowRanges], piece_rows: int) -> None:
        """Collect the spans.

        Args:
            reader: of the rows.
            block: number of the block.
            streams: each has the right to call `next_piece` with its number in this list.
            piece_rows: greatest number of rows to read at a time.
        """
        parts = []
        for number, spans in enumerate(streams):
            is_here = spans.blocks == block
            starts, stops = spans.starts[is_here], spans.stops[is_here]
            parts.append(np.stack([starts, stops, np.full(len(starts), number)]))
        merged = np.concatenate(parts, axis=1)
        self._spans: deque[tuple[int, int, int]] = deque(map(tuple, merged[:, np.argsort(merged[0])].T.tolist()))
        self._pieces = reader.read(self._spans[0][0], self._spans[-1][1], piece_rows)
        self._waiting: dict[int, deque[Piece]] = {number: deque() for number in range(len(streams))}
        self._error: Exception | None = None
        self._lock = threading.Lock()

    def next_piece(self, stream: int) -> Piece:
        """Return the next rows of a stream."""
        with self._lock:
            while not self._waiting[stream]:
                self._assign(self._read())
            return self._waiting[stream].popleft()

    def _read(self) -> Piece:
        """Read on; an error is that of every stream, whichever met it first."""
        if self._error:
            raise self._error
        try:
            return next(self._pieces)
        except Exception as error:
            self._error = error
            raise

    def _assign(self, piece: Piece) -> None:
        """Assign the rows of a piece to the streams; rows of other ranks are dropped."""
        after = piece.first + piece.batch.num_rows
        while self._spans and self._spans[0][0] < after:
            start, stop, stream = self._spans.popleft()
            end = min(stop, after)
            self._waiting[stream].append(Piece(piece.batch.slice(start - piece.first, end - start), start))
            if end < stop:
                self._spans.appendleft((end, stop, stream))


def open_streams(reader: Reader, streams: Sequence[RowRanges], piece_rows: int) -> list[Iterator[Piece]]:
    """Return an iterator over the pieces of each stream; they may be used by different threads.

    Args:
        reader: of the rows.
        streams: spans that are read together: streams of equal progress.
        piece_rows: greatest number of rows of a piece.
    """
    all_blocks = [block for spans in streams for block in spans.blocks.tolist()]
    blocks, counts = np.unique(np.array(all_blocks, np.int64), return_counts=True)
    shared = {block: SharedBlock(reader, block, streams, piece_rows) for block in blocks[counts > 1].tolist()}
    return [_pieces(reader, number, spans, shared, piece_rows) for number, spans in enumerate(streams)]


def _pieces(
    reader: Reader, stream: int, spans: RowRanges, shared: dict[int, SharedBlock], piece_rows: int
) -> Iterator[Piece]:
    for block, start, stop in zip(spans.blocks.tolist(), spans.starts.tolist(), spans.stops.tolist(), strict=True):
        if block not in shared:
            yield from reader.read(start, stop, piece_rows)
            continue
        while start < stop:
            piece = shared[block].next_piece(stream)
            yield piece
            start += piece.batch.num_rows
