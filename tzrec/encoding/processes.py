"""Parts of an encoded data set, written by several processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from tzrec.data.encode import RowEncoder
from tzrec.encoding.parts import Done, Part, write_part
from tzrec.errors import TrainingError

_encoder: RowEncoder
"""Of a process that writes parts."""


def write_parts(
    encoder: RowEncoder, parts: Sequence[Part], directory: str, stamp: str, batch_size: int, processes: int
) -> Iterator[tuple[Part, Done]]:
    """Write parts, see `write_part`, and yield each as soon as it is there.

    Raises:
        TrainingError: a process was killed.
    """
    count = min(processes, len(parts))
    if count <= 1:
        for part in parts:
            yield part, write_part(encoder, part, directory, stamp, batch_size)
        return
    # spawned, not forked: Arrow and torch have threads, which a fork would leave behind in the middle of something
    pool = ProcessPoolExecutor(count, get_context("spawn"), _start, (encoder,))
    try:
        waiting = {pool.submit(_work, part, directory, stamp, batch_size): part for part in parts}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BrokenProcessPool:
        raise TrainingError(
            "a process that encoded was killed, perhaps for want of memory. Parts that are done are kept: run the same "
            "command again, with fewer --processes or a smaller --batch_size"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(encoder: RowEncoder) -> None:
    global _encoder
    _encoder = encoder


def _work(part: Part, directory: str, stamp: str, batch_size: int) -> Done:
    return write_part(_encoder, part, directory, stamp, batch_size)
