"""Batches that are kept from an evaluation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local

import pytest

from tzrec.data.batch import Batch
from tzrec.distributed import group
from tzrec.run.evaluation_sample import EvaluationSample


def kept_rows(monkeypatch: pytest.MonkeyPatch, num_rows: int, rows_by_rank: list[list[int]]) -> list[list[int]]:
    """Collect batches of some rows on ranks that are threads; return the rows of the batches that each one keeps."""
    rank, values, barrier = local(), [0] * len(rows_by_rank), Barrier(len(rows_by_rank), timeout=60)

    def gather(value: int) -> list[int]:
        values[rank.number] = value
        barrier.wait()
        gathered = list(values)
        barrier.wait()
        return gathered

    def run(number: int) -> list[int]:
        rank.number, sample = number, EvaluationSample(num_rows)
        batches = [Batch(rows=rows) for rows in rows_by_rank[number]]
        assert list(sample.collect(batches)) == batches
        return [batch.rows for batch in sample.batches()]

    monkeypatch.setattr(group, "gather", gather)
    with ThreadPoolExecutor(len(rows_by_rank)) as threads:
        return list(threads.map(run, range(len(rows_by_rank))))


@pytest.mark.parametrize(
    ("num_batches", "kept"),
    [(3, [0, 1, 2]), (4, [0, 1, 2, 3]), (5, [0, 2, 4]), (9, [0, 4, 8]), (16, [0, 4, 8, 12]), (17, [0, 8, 16])],
)
def test_sample_keeps_batches_at_equal_distances(
    monkeypatch: pytest.MonkeyPatch, num_batches: int, kept: list[int]
) -> None:
    rows = [100 + number for number in range(num_batches)]  # four of them fit
    assert kept_rows(monkeypatch, 450, [rows]) == [[100 + number for number in kept]]


def test_batches_without_rows_take_no_place_in_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of eval_split: of the first batches no row is held out, of the others a few."""
    assert kept_rows(monkeypatch, 60, [[0] * 90 + [3, 0, 7] * 6]) == [[3, 7] * 6]
    assert kept_rows(monkeypatch, 59, [[0] * 90 + [3, 0, 7] * 6]) == [[3] * 6]


def test_sample_of_another_evaluation_replaces_that_of_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "gather", lambda value: [value])
    sample = EvaluationSample(num_rows=3)
    list(sample.collect([Batch(rows=rows) for rows in (1, 2, 3, 4)]))
    assert [batch.rows for batch in sample.batches()] == [1]
    list(sample.collect([Batch(rows=rows) for rows in (1, 2)]))
    assert [batch.rows for batch in sample.batches()] == [1, 2]


def test_sample_of_no_rows_keeps_none_and_of_few_rows_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept_rows(monkeypatch, 0, [[8, 9]]) == [[]]
    assert kept_rows(monkeypatch, 5, [[8, 9]]) == [[8]]
    assert kept_rows(monkeypatch, 5, [[0, 0]]) == [[]]
    assert kept_rows(monkeypatch, 5, [[]]) == [[]]


def test_ranks_keep_as_many_batches_at_one_distance_and_all_rows_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches without rows fill up: all ranks run the model together."""
    assert kept_rows(monkeypatch, 100, [[0, 0, 0], [30, 30, 40]]) == [[0, 0, 0], [30, 30, 40]]
    assert kept_rows(monkeypatch, 99, [[0, 1, 2, 3], [30, 30, 30, 30]]) == [[1, 3], [30, 30]]
    assert kept_rows(monkeypatch, 99, [[10, 11, 12, 0], [20, 21, 22, 23]]) == [[10, 12], [20, 22]]
