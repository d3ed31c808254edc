"""Column statistics of all rows of a reader, computed on several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from tzrec.data.reader import Reader
from tzrec.data.row_progress import ReadProgress
from tzrec.data.text_schema import valid_text


class Statistics(Protocol):
    """Statistics of rows, built up piece by piece."""

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add B rows."""

    def merge(self, other: Any) -> None:
        """Add the statistics of other rows."""


_S = TypeVar("_S", bound=Statistics)


Prepare = Callable[[pa.RecordBatch], pa.RecordBatch]


def scan(
    reader: Reader, new_stats: Callable[[], list[_S]], threads: int, command: str, prepare: Prepare | None = None
) -> tuple[int, list[_S]]:
    """Read all rows once.

    Thread i takes pieces i, i + threads, ...: the estimates do not depend on which thread is faster.

    Args:
        reader: reads the columns.
        new_stats: creates empty statistics of the columns, once per thread.
        threads: how many threads add pieces.
        command: name for the lines that tell how far it is.
        prepare: changes rows before they are added, on these threads.

    Returns:
        the number of rows, and the merged statistics.
    """
    stats_by_thread = [new_stats() for _ in range(threads)]
    running: list[Future[None] | None] = [None] * threads
    rows = 0
    with ThreadPoolExecutor(threads) as pool:
        for number, piece in enumerate(ReadProgress(command, reader).watch(reader.read())):
            thread = number % threads
            rows += piece.batch.num_rows
            if (previous := running[thread]) is not None:
                previous.result()
            running[thread] = pool.submit(_add, stats_by_thread[thread], piece.batch, reader.is_text, prepare)
        for future in running:
            if future is not None:
                future.result()
    merged, *remaining = stats_by_thread
    for stats in remaining:
        for column, part in zip(merged, stats, strict=True):
            column.merge(part)
    return rows, merged


def _add(columns: Sequence[Statistics], batch: pa.RecordBatch, is_text: bool, prepare: Prepare | None) -> None:
    if is_text:  # cells that are not UTF-8 count as missing, as features read them
        cells = [valid_text(column)[0] for column in batch.columns]
        batch = pa.RecordBatch.from_arrays(cells, batch.schema.names)
    if prepare is not None:
        batch = prepare(batch)
    for column in columns:
        column.add_batch(batch)
