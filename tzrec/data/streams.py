"""Streams of an epoch on any number of ranks: their number, and their content after each change of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tzrec.data.batch import Deal
from tzrec.data.dealing import even_sizes, rows_consumed
from tzrec.features.arrays import Int64Array

DEFAULT_STREAMS = 8


def num_streams(configured: int, world_size: int) -> int:
    """Number of streams of an epoch that starts: the configured one, rounded up to a multiple of the world size."""
    return -(-(configured or DEFAULT_STREAMS) // world_size) * world_size


def continue_deals(deals: Sequence[Deal], new_streams: int, world_size: int, batch: int) -> tuple[Deal, ...]:
    """Return the deals of an epoch that starts or goes on with this number of ranks; the last one is in use.

    Args:
        deals: of the cursor.
        new_streams: number of streams of another deal.
        world_size: number of ranks.
        batch: rows of a step of all ranks.
    """
    if not deals:
        return (Deal(new_streams, batch),)
    last = deals[-1]
    is_kept = last.num_streams % world_size == 0 and (last.batch == batch or last.rows % last.num_streams == 0)
    return (*deals[:-1], replace(last, batch=batch)) if is_kept else (*deals, Deal(new_streams, batch))


@dataclass(frozen=True)
class Section:
    """Rows `begin` to `end` of a stream of the first deal of the epoch, in shuffled order."""

    stream: int
    begin: int
    end: int

    @property
    def num_rows(self) -> int:
        return self.end - self.begin


def sections_of(num_rows: int, deals: Sequence[Deal]) -> list[list[Section]]:
    """Return the content of each stream of the last deal, including the rows of it that are consumed.

    Another deal lays what is left of the streams end to end and cuts it into equal ranges.
    """
    sizes = even_sizes(num_rows, deals[0].num_streams)
    streams = [[Section(stream, 0, int(size))] for stream, size in enumerate(sizes)]
    for before, after in pairwise(deals):
        consumed = rows_consumed(before.rows, before.batch, sizes)
        rest = [
            section for sections, done in zip(streams, consumed, strict=True) for section in drop_rows(sections, done)
        ]
        sizes = even_sizes(sum(section.num_rows for section in rest), after.num_streams)
        streams = _cut(rest, sizes)
    return streams


def drop_rows(sections: Sequence[Section], rows: int) -> list[Section]:
    """Return the sections without their first rows."""
    rest = []
    for section in sections:
        done = min(int(rows), section.num_rows)
        rows -= done
        if done < section.num_rows:
            rest.append(replace(section, begin=section.begin + done))
    return rest


def _cut(sections: Sequence[Section], sizes: Int64Array) -> list[list[Section]]:
    """Cut sections, laid end to end, into parts of the given sizes."""
    rest, parts = deque(sections), []
    for size in sizes.tolist():
        part: list[Section] = []
        while size:
            section = rest.popleft()
            taken = min(size, section.num_rows)
            part.append(replace(section, end=section.begin + taken))
            if taken < section.num_rows:
                rest.appendleft(replace(section, begin=section.begin + taken))
            size -= taken
        parts.append(part)
    return parts
