"""Dealing of blocks into streams, and the rows of each stream that a step consumes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tzrec.data.dealing import UNIT_ROWS, deal, even_sizes, rows_consumed

SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any)


def starts_of(sizes: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def rows_of(sizes: list[int], num_streams: int, order: list[int] | None = None) -> list[list[int]]:
    """Rows of each stream in its order."""
    streams = deal(starts_of(sizes), num_streams, None if order is None else np.array(order))
    return [
        [row for start, stop in zip(spans.starts, spans.stops, strict=True) for row in range(start, stop)]
        for spans in streams
    ]


def readable_rows_of(sizes: list[int], num_streams: int, order: list[int]) -> list[list[int]]:
    """The same, row by row."""
    total = sum(sizes)
    lengths = [(s + 1) * total // num_streams - s * total // num_streams for s in range(num_streams)]
    streams: list[list[int]] = [[] for _ in lengths]
    starts = starts_of(sizes)
    for block in order:
        rows = list(range(starts[block], starts[block + 1]))
        open_streams = [s for s in range(num_streams) if len(streams[s]) < lengths[s]]
        if not rows:
            continue
        shortest = min(open_streams, key=lambda s: (len(streams[s]), s))
        if len(streams[shortest]) + len(rows) <= lengths[shortest]:
            streams[shortest] += rows
            continue
        room = {s: lengths[s] - len(streams[s]) for s in open_streams}
        if len(rows) <= max(lengths):  # the fullest streams that can hold it
            share, left = {}, len(rows)
            for s in sorted(open_streams, key=lambda s: (room[s], s)):
                share[s] = min(room[s], left)
                left -= share[s]
            room = {s: count for s, count in share.items() if count}
        unit = max(1, min(len(rows) // (64 * len(room)), UNIT_ROWS))
        while rows:
            s = min((s for s in room if room[s]), key=lambda s: (len(streams[s]), s))
            count = min(unit, room[s], len(rows))
            streams[s] += rows[:count]
            rows, room[s] = rows[count:], room[s] - count
    return streams


@given(SIZES, st.integers(1, 12), st.randoms())
def test_deal_equals_the_readable_version(sizes: list[int], num_streams: int, random: Any) -> None:
    order = list(range(len(sizes)))
    random.shuffle(order)
    streams = rows_of(sizes, num_streams, order)
    assert streams == readable_rows_of(sizes, num_streams, order)
    assert sorted(row for stream in streams for row in stream) == list(range(sum(sizes)))
    assert [len(stream) for stream in streams] == even_sizes(sum(sizes), num_streams).tolist()


def test_equal_blocks_are_dealt_whole_and_in_turn() -> None:
    assert rows_of([3] * 4, 2) == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]]
    assert rows_of([3, 3, 3], 3) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_block_that_does_not_fit_is_dealt_among_few_streams() -> None:
    streams = deal(starts_of([100] * 15), 8)  # 187.5 rows each: one whole block, and parts of at most two others
    assert max(len(np.unique(spans.blocks)) for spans in streams) <= 3
    assert sum(len(np.unique(spans.blocks)) for spans in streams) <= 15 + 7


def test_large_block_is_dealt_in_turn_among_all_streams() -> None:
    assert rows_of([12], 3) == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    streams = deal(starts_of([10_000_000]), 8)
    assert {len(spans) for spans in streams} <= {1220, 1221, 1222}  # units of 1024 rows
    assert [spans.starts[0] for spans in streams] == [1024 * stream for stream in range(8)]


@given(SIZES, st.integers(1, 12))
def test_order_of_streams_stays_near_that_of_the_files(sizes: list[int], num_streams: int) -> None:
    """A row is at most one block of each stream away from its place; larger blocks do not count."""
    longest = -(-sum(sizes) // num_streams)
    bound = num_streams * (max([size for size in sizes if size <= longest], default=1) + 2)
    for stream in rows_of(sizes, num_streams):
        assert all(abs(row - place * num_streams) <= bound for place, row in enumerate(stream))


@given(SIZES, st.integers(1, 8), st.integers(0, 2**32))
def test_rows_between_selects_rows_of_a_stream(sizes: list[int], num_streams: int, seed: int) -> None:
    for spans in deal(starts_of(sizes), num_streams):
        rows = [row for a, b in zip(spans.starts, spans.stops, strict=True) for row in range(a, b)]
        begin, end = sorted(np.random.default_rng(seed).integers(0, len(rows) + 1, 2).tolist())
        part = spans.rows_between(begin, end)
        assert [row for a, b in zip(part.starts, part.stops, strict=True) for row in range(a, b)] == rows[begin:end]
        assert part.num_rows == end - begin


@given(st.integers(1, 500), st.integers(1, 24), st.integers(1, 60))
def test_rows_consumed_grow_and_are_equal_on_all_ranks(rows: int, num_streams: int, batch: int) -> None:
    sizes = even_sizes(rows, num_streams)
    before = np.zeros(num_streams, np.int64)
    for position in [*range(batch, rows, batch), rows]:
        consumed = rows_consumed(position, batch, sizes)
        assert consumed.sum() == position
        assert (consumed >= before).all()
        assert (consumed <= sizes).all()
        for world in (world for world in range(1, num_streams + 1) if num_streams % world == 0):
            by_rank = (consumed - before).reshape(world, -1).sum(axis=1)
            if batch % world == 0 and position % batch == 0:
                assert (by_rank == batch // world).all()
            elif batch % world == 0:  # the last, short step
                assert by_rank.max() - by_rank.min() <= 1
        before = consumed


@pytest.mark.parametrize("batch", [8, 12, 100])
def test_rows_consumed_do_not_depend_on_the_batch_after_a_multiple_of_the_streams(batch: int) -> None:
    assert rows_consumed(16, batch, even_sizes(1001, 8)).tolist() == [2] * 8
