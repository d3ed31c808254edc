"""Write parts of an encoded data set in several processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from tzrec.data.row_encoder import RowEncoder
from tzrec.encoding.parts import Part, PartResult, write_part
from tzrec.errors import TrainingError

_encoder: RowEncoder
"""Encoder of a worker process, set by its initializer."""


def write_parts(
    encoder: RowEncoder, parts: Sequence[Part], directory: str, stamp: str, batch_size: int, processes: int
) -> Iterator[tuple[Part, PartResult]]:
    """Write parts with `write_part`, and yield each with its result when it is written.

    Raises:
        TrainingError: a process was killed.
    """
    count = min(processes, len(parts))
    if count <= 1:
        for part in parts:
            yield part, write_part(encoder, part, directory, stamp, batch_size)
        return
    # spawned, not forked: a fork does not copy the threads of Arrow and torch, and their locks may be held
    pool = ProcessPoolExecutor(count, get_context("spawn"), _start, (encoder,))
    try:
        part_by_future = {pool.submit(_work, part, directory, stamp, batch_size): part for part in parts}
        for future in as_completed(part_by_future):
            yield part_by_future[future], future.result()
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


def _work(part: Part, directory: str, stamp: str, batch_size: int) -> PartResult:
    return write_part(_encoder, part, directory, stamp, batch_size)
