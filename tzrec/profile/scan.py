"""One pass over the rows of a reader, several pieces at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from tzrec.data.reader import Reader
from tzrec.profile.column import ColumnStats


def look(reader: Reader, make: Callable[[], list[ColumnStats]], threads: int) -> tuple[int, list[ColumnStats]]:
    """Look at all rows; how many there are, and what they show.

    Piece i goes to part i modulo `threads`, so that the same rows give the same estimates whatever is fast or slow.

    Args:
        reader: reads the columns.
        make: begins to look at the columns; called once for each part.
        threads: parts that are looked at side by side.
    """
    parts = [make() for _ in range(threads)]
    running: list[Future[None] | None] = [None] * threads
    rows = 0
    with ThreadPoolExecutor(threads) as pool:
        for number, piece in enumerate(reader.read()):
            at = number % threads
            rows += piece.batch.num_rows
            if (before := running[at]) is not None:
                before.result()
            running[at] = pool.submit(_add, parts[at], piece.batch)
        for last in running:
            if last is not None:
                last.result()
    for part in parts[1:]:
        for column, other in zip(parts[0], part, strict=True):
            column.merge(other)
    return rows, parts[0]


def _add(columns: list[ColumnStats], batch: pa.RecordBatch) -> None:
    for column in columns:
        column.take(batch)
