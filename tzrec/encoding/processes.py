"""Write parts of an encoded data set in several processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import get_context

from tzrec.data.parts.part import Part, PartResult
from tzrec.data.row_encoder import RowEncoder
from tzrec.encoding.parts import write_part
from tzrec.errors import TrainingError

_encoder: RowEncoder
"""Encoder of a worker process, set by its initializer."""


def write_parts(
    encoder: RowEncoder, parts: Iterator[Part], directory: str, batch_size: int, processes: int
) -> Iterator[tuple[Part, PartResult]]:
    """Write parts with `write_part`, and yield each with its result when it is written.

    Args:
        encoder: encodes the rows.
        parts: one is drawn whenever a process has nothing to do.
        directory: of the data set.
        batch_size: rows to encode at a time.
        processes: number of processes; 1 for this one.

    Raises:
        TrainingError: a process was killed.
    """
    first = list(islice(parts, processes))
    if len(first) <= 1:
        for part in chain(first, parts):
            yield part, write_part(encoder, part, directory, batch_size)
        return
    # spawned, not forked: a fork does not copy the threads of Arrow and torch, and their locks may be held
    pool = ProcessPoolExecutor(len(first), get_context("spawn"), _start, (encoder,))
    try:
        part_by_future = {pool.submit(_work, part, directory, batch_size): part for part in first}
        while part_by_future:
            done, _ = wait(part_by_future, return_when=FIRST_COMPLETED)
            for future in done:
                part_by_future |= {pool.submit(_work, part, directory, batch_size): part for part in islice(parts, 1)}
                yield part_by_future.pop(future), future.result()
    except BrokenProcessPool:
        raise TrainingError(
            "an encoding process was killed, possibly out of memory. Finished parts are kept: run the same command "
            "again, with fewer --processes or a smaller --batch_size"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(encoder: RowEncoder) -> None:
    global _encoder
    _encoder = encoder


def _work(part: Part, directory: str, batch_size: int) -> PartResult:
    return write_part(_encoder, part, directory, batch_size)
