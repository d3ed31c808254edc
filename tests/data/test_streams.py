"""Streams: every row exactly once on any number of ranks, and a rank reads only what it trains."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.conftest import Write
from tests.fixtures.numbered_rows import make_config, open_loader
from tzrec.data.batch import BASE, Cursor, Deal
from tzrec.data.dealing import deal
from tzrec.data.prefetch import ReadAhead
from tzrec.data.reader import PIECE_ROWS, Piece
from tzrec.data.stream_jobs import stream_jobs
from tzrec.data.streams import continue_deals, num_streams

Steps = list[list[int]]


class NumberedRows:
    """Reader of rows that hold their number; records the ranges that are read."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.num_rows = int(self._starts[-1])
        self.num_read = 0
        self.blocks: list[int] = []

    def block_starts(self) -> Any:
        return self._starts

    def read(self, start: int = 0, stop: int | None = None, piece_rows: int = PIECE_ROWS) -> Iterator[Piece]:
        stop = self.num_rows if stop is None else stop
        for first in range(start, stop, piece_rows):
            rows = np.arange(first, min(first + piece_rows, stop))
            self.num_read += len(rows)
            self.blocks += np.unique(np.searchsorted(self._starts, rows, side="right") - 1).tolist()
            yield Piece(pa.RecordBatch.from_pydict({"uid": rows}), first)


def steps_of_rank(reader: NumberedRows, cursor: Cursor, rank: int, world: int, drop: bool = False) -> Steps:
    steps = []
    jobs = stream_jobs(reader, cursor, rank, world, 1, drop, ReadAhead())  # type: ignore[arg-type]
    for job in jobs:
        batch, numbers = job.gather()
        assert batch["uid"].to_pylist() == numbers.tolist()
        assert len(numbers) == max(job.rows, 1)
        steps.append(numbers[: job.rows].tolist())
    return steps


def run(
    sizes: Sequence[int], cursor: Cursor, world: int, batch: int, streams: int = 8, drop: bool = False
) -> tuple[Steps, list[Cursor]]:
    """Rows of every step of all ranks together, those of the ranks one after another, and the cursor after each step.

    Args:
        sizes: rows of the blocks.
        cursor: start.
        world: number of ranks.
        batch: rows of a step of all ranks.
        streams: configured number of streams.
        drop: leave out the last, short step.
    """
    cursor = replace(cursor, deals=continue_deals(cursor.deals, num_streams(streams, world), world, batch))
    ranks = [steps_of_rank(NumberedRows(sizes), cursor, rank, world, drop) for rank in range(world)]
    assert len({len(steps) for steps in ranks}) == 1  # otherwise one rank would wait for another
    steps = []
    for parts in zip(*ranks, strict=True):
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        steps.append([row for part in parts for row in part])
    rows = itertools.accumulate(map(len, steps), initial=cursor.row)
    return steps, [cursor.at(row) for row in rows][1:]


def flat(steps: Steps) -> list[int]:
    return [row for step in steps for row in step]


SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=25).filter(any)
WINDOWS = st.sampled_from([1, 2, 7, 24, 1000])


@settings(deadline=None, max_examples=40)
@given(SIZES, WINDOWS, st.data())
def test_every_row_comes_once_whatever_the_ranks_of_the_resumed_runs(
    sizes: list[int], window: int, data: st.DataObject
) -> None:
    cursor, trained, streams = Cursor(3, 0, window), [], data.draw(st.integers(1, 12))
    for _ in range(data.draw(st.integers(1, 4))):
        world, per_rank = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 9))
        steps, cursors = run(sizes, cursor, world, world * per_rank, streams)
        stop = data.draw(st.integers(0, len(steps)))
        if stop:
            resumed, _ = run(sizes, cursors[stop - 1], world, world * per_rank, streams)
            assert resumed == steps[stop:]
            cursor = cursors[stop - 1]
        trained += flat(steps[:stop])
    rest, cursors = run(sizes, cursor, 1, 5, streams)
    assert sorted(trained + flat(rest)) == list(range(sum(sizes)))
    assert not cursors or cursors[-1].row == sum(sizes)


@settings(deadline=None, max_examples=40)
@given(SIZES, WINDOWS, st.sampled_from([6, 8, 12]), st.integers(1, 4), st.booleans(), st.data())
def test_global_batches_are_equal_on_all_ranks_that_divide_the_streams(
    sizes: list[int], window: int, streams: int, factor: int, drop: bool, data: st.DataObject
) -> None:
    worlds = [world for world in range(1, streams + 1) if streams % world == 0]
    batch = factor * data.draw(st.sampled_from(worlds))
    results = [run(sizes, Cursor(1, 0, window), w, batch, streams, drop)[0] for w in worlds if batch % w == 0]
    assert all(steps == results[0] for steps in results)
    assert [len(step) for step in results[0][:-1]] == [batch] * (len(results[0]) - 1)
    assert len(flat(results[0])) == (sum(sizes) // batch * batch if drop else sum(sizes))
    step = data.draw(st.integers(0, len(results[0])))
    if 0 < step < len(results[0]):
        _, cursors = run(sizes, Cursor(1, 0, window), worlds[0], batch, streams, drop)
        for world in (world for world in worlds if batch % world == 0):
            assert run(sizes, cursors[step - 1], world, batch, streams, drop)[0] == results[0][step:]


@settings(deadline=None, max_examples=40)
@given(SIZES, WINDOWS, st.sampled_from([1, 2, 4, 8]))
def test_rank_reads_only_the_blocks_of_its_streams(sizes: list[int], window: int, world: int) -> None:
    cursor = Cursor(0, 0, window, (Deal(8, 16),))
    readers = [NumberedRows(sizes) for _ in range(world)]
    trained = [flat(steps_of_rank(reader, cursor, rank, world)) for rank, reader in enumerate(readers)]
    starts = readers[0].block_starts()
    for reader, rows in zip(readers, trained, strict=True):
        own = set((np.searchsorted(starts, rows, side="right") - 1).tolist())
        assert set(reader.blocks) == (own or set(reader.blocks[:1]))  # a rank without any rows reads one to repeat
    assert sum(len(set(reader.blocks)) for reader in readers) <= sum(map(bool, sizes)) * 2 + 16 * world
    if world == 1:
        assert readers[0].num_read == sum(sizes)  # no row is decoded twice


def test_equal_blocks_are_read_by_one_rank_each() -> None:
    readers = [NumberedRows([10] * 64) for _ in range(8)]
    for rank, reader in enumerate(readers):
        steps_of_rank(reader, Cursor(0, 0, 1000, (Deal(8, 16),)), rank, 8)
        assert (reader.num_read, len(reader.blocks)) == (80, 8)
    assert sorted(block for reader in readers for block in reader.blocks) == list(range(64))


@pytest.mark.parametrize("window", [1, 80])
def test_resumed_rank_reads_no_block_before_its_window(window: int) -> None:
    reader = NumberedRows([10] * 64)
    cursor = Cursor(0, 480, window, (Deal(8, 16, 480),))  # each stream is at its row 60 of 80
    steps_of_rank(reader, cursor, 3, 8)
    assert (reader.num_read, len(reader.blocks)) == (20, 2)
    before = NumberedRows([10] * 64)
    steps_of_rank(before, replace(cursor, row=0, deals=(Deal(8, 16),)), 3, 8)
    assert reader.blocks == before.blocks[-2:]


def test_epochs_and_seeds_permute_the_blocks_of_all_files() -> None:
    sizes = [10] * 200
    first_rows = [run(sizes, Cursor(epoch, 0, 160), 1, 80)[0][0] for epoch in range(3)]
    assert len({tuple(sorted(rows)) for rows in first_rows}) == 3
    for rows in first_rows:  # 8 streams start at blocks from anywhere: not from the first 8 of 200
        assert len({row // 10 for row in rows}) >= 8
        assert max(rows) > 1000
    in_blocks = [flat(run(sizes, Cursor(epoch, 0, 2000), 1, 80)[0]) for epoch in range(2)]
    assert sorted(in_blocks[0]) == sorted(in_blocks[1]) == list(range(2000))


def test_shuffled_window_mixes_the_rows_of_several_blocks() -> None:
    steps, _ = run([10] * 64, Cursor(0, 0, 320), 1, 8)  # windows of 40 rows in each stream
    first_window = flat(steps[:40])
    assert len({row // 10 for row in first_window}) == 32
    of_stream = [step[0] for step in steps[:40]]
    assert len({row // 10 for row in of_stream[:10]}) > 1  # not one block after the other
    assert sorted(of_stream) == sorted(
        row for block in {row // 10 for row in of_stream} for row in range(block * 10, block * 10 + 10)
    )


def test_unshuffled_steps_stay_near_the_order_of_the_files() -> None:
    steps, _ = run([10] * 64, Cursor(), 2, 16)
    assert all(abs(row - 16 * number) < 8 * 10 + 16 for number, step in enumerate(steps) for row in step)
    assert run([1000], Cursor(), 2, 16)[0][10] == [row for s in range(8) for row in (160 + s, 168 + s)]


def test_rank_without_rows_repeats_its_last_one() -> None:
    cursor = Cursor(0, 0, 1, (Deal(8, 8),))
    for start in (cursor, cursor.at(8)):
        jobs = list(stream_jobs(NumberedRows([9]), start, 0, 8, 1, False, ReadAhead()))  # type: ignore[arg-type]
        assert jobs[-1].rows == 0
        assert jobs[-1].gather()[1].tolist() == [0]
    for rank in range(4):  # fewer rows than ranks
        (job,) = stream_jobs(
            NumberedRows([2]),
            Cursor(0, 0, 1, (Deal(4, 8),)),
            rank,
            4,
            1,
            False,
            ReadAhead(),  # type: ignore[arg-type]
        )
        assert (job.after, job.rows) == (2, rank % 2)


def test_num_streams_is_a_multiple_of_the_world_size() -> None:
    assert [num_streams(0, world) for world in (1, 2, 3, 8, 12, 64)] == [8, 8, 9, 8, 12, 64]
    assert [num_streams(24, world) for world in (1, 5, 24, 25)] == [24, 25, 24, 25]


def test_deals_are_kept_where_the_world_size_divides_them() -> None:
    assert continue_deals((), 8, 2, 20) == (Deal(8, 20),)
    assert continue_deals((Deal(8, 20, 40),), 9, 4, 12) == (Deal(8, 12, 40),)  # 5 rows of every stream
    assert continue_deals((Deal(8, 20, 20),), 8, 4, 20) == (Deal(8, 20, 20),)
    assert continue_deals((Deal(8, 20, 20),), 8, 4, 12) == (Deal(8, 20, 20), Deal(8, 12))
    assert continue_deals((Deal(8, 24, 24),), 9, 3, 24) == (Deal(8, 24, 24), Deal(9, 24))


def test_order_of_streams_equals_that_of_the_first_release() -> None:
    """Resuming from checkpoints depends on it: they hold only a position."""
    steps, _ = run([4, 4, 4, 4], Cursor(0, 0, 8), 2, 4, streams=2)
    assert steps == [[11, 9, 2, 0], [8, 10, 3, 1], [14, 15, 4, 7], [13, 12, 6, 5]]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_loader_order_does_not_depend_on_threads(write: Write, workers: int) -> None:
    path = write([40, 3, 0, 25, 90], row_group_size=7)
    data = f"shuffle: true shuffle_buffer_size: 2 batch_size: 6 num_workers: {workers}"
    batches = list(open_loader(make_config(data), path).epoch())
    rows = [row for batch in batches for row in batch.sparse[BASE].values().tolist()]
    sizes = [min(7, size - start) for size in (40, 3, 25, 90) for start in range(0, size, 7)]
    assert rows == flat(run(sizes, Cursor(0, 0, 12), 1, 6)[0])
    assert sum(len(spans) for spans in deal(NumberedRows(sizes).block_starts(), 8)) >= len(sizes)


def test_first_step_reads_one_window_of_each_stream_and_the_second_one_goes_ahead() -> None:
    reader, read_ahead = NumberedRows([20] * 16), ReadAhead()
    cursor = Cursor(0, 0, 160, (Deal(8, 16),))  # windows of 20 rows
    jobs = stream_jobs(reader, cursor, 0, 1, 1, False, read_ahead)  # type: ignore[arg-type]
    next(jobs)
    assert (reader.num_read, len(read_ahead.tasks)) == (160, 0)
    next(jobs)
    assert (reader.num_read, len(read_ahead.tasks)) == (160, 8)


def test_windows_of_one_step_are_read_ahead_at_once() -> None:
    reader, read_ahead = NumberedRows([2] * 16), ReadAhead()
    jobs = stream_jobs(reader, Cursor(0, 0, 16, (Deal(8, 16),)), 0, 1, 1, False, read_ahead)  # type: ignore[arg-type]
    next(jobs)
    assert (reader.num_read, len(read_ahead.tasks)) == (16, 8)
