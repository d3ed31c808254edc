"""Batches that are kept from an evaluation."""

from __future__ import annotations

import pytest

from tzrec.data.batch import Batch
from tzrec.run.evaluation_sample import EvaluationSample


@pytest.mark.parametrize(
    ("num_batches", "kept"),
    [(3, [0, 1, 2]), (4, [0, 1, 2, 3]), (5, [0, 2, 4]), (9, [0, 4, 8]), (16, [0, 4, 8, 12]), (17, [0, 8, 16])],
)
def test_sample_keeps_batches_at_equal_distances(num_batches: int, kept: list[int]) -> None:
    sample = EvaluationSample(num_rows=430, batch_size=100)
    batches = [Batch(rows=number) for number in range(num_batches)]
    assert list(sample.collect(batches)) == batches
    assert [batch.rows for batch in sample.batches] == kept
    assert list(sample.collect(batches[:1])) == batches[:1]
    assert sample.batches == batches[:1]


def test_sample_of_no_rows_keeps_none_and_of_few_rows_one_batch() -> None:
    for num_rows, kept in ((0, 0), (5, 1)):
        sample = EvaluationSample(num_rows, batch_size=100)
        list(sample.collect([Batch(rows=1), Batch(rows=2)]))
        assert len(sample.batches) == kept
