from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tzrec.profile.row_sample import MAX_ROWS, RowSample, codes_of, numbers_of


def sampled(num_rows: int, *, batch_rows: int = 1000) -> RowSample:
    sample = RowSample()
    for batch in pa.table({"x": np.arange(num_rows)}).to_batches(max_chunksize=batch_rows):
        sample.add_batch(batch)
    return sample


def test_sample_of_few_rows_is_all_of_them() -> None:
    sample = sampled(2 * MAX_ROWS)
    assert (sample.rows, sample.num_kept, sample.is_all) == (2 * MAX_ROWS, 2 * MAX_ROWS, True)
    assert sample.table().column("x").to_pylist() == [*range(2 * MAX_ROWS)]


@pytest.mark.parametrize("batch_rows", [7, 999, 10**6])
def test_sample_of_many_rows_is_spread_evenly(batch_rows: int) -> None:
    num_rows = 9 * MAX_ROWS if batch_rows > 7 else 2 * MAX_ROWS + 7
    sample = sampled(num_rows, batch_rows=batch_rows)
    assert sample.rows == num_rows and not sample.is_all
    assert MAX_ROWS - 1 <= sample.num_kept <= 2 * MAX_ROWS
    steps = np.diff(sample.table().column("x").to_numpy())
    assert steps.min() > 0 and steps.max() <= 2 * num_rows / sample.num_kept


def test_merged_samples_have_one_stride() -> None:
    sample, other = sampled(MAX_ROWS), sampled(4 * MAX_ROWS)
    sample.merge(other)
    assert sample.rows == 5 * MAX_ROWS
    from_first = (sample.table().column("x").to_numpy()[: MAX_ROWS // 2] < MAX_ROWS).mean()
    assert from_first > 0.9 and sample.num_kept <= 2 * MAX_ROWS


NAN = float("nan")
COLUMNS: list[tuple[pa.Array, list[float] | None, list[int] | None]] = [
    (pa.array([3, None, 5]), [3, NAN, 5], [0, -1, 1]),
    (pa.array([True, None, False]), [1, NAN, 0], [0, -1, 1]),
    (pa.array([1.5, float("inf"), None]), [1.5, NAN, NAN], [0, 1, -1]),
    (pa.array(["2.5", "", "N/A", None, "7"]), [2.5, NAN, NAN, NAN, 7], [0, 1, 2, -1, 3]),
    (pa.array(["a", "b", "a"]).dictionary_encode(), [NAN, NAN, NAN], [0, 1, 0]),
    (pa.array([0, 1], pa.timestamp("s")), [0, 1_000_000], [0, 1]),
    (pa.array([[1], [2]]), None, None),
    (pa.array([{"a": 1}]), None, None),
]


@pytest.mark.parametrize(("column", "numbers", "codes"), COLUMNS, ids=[str(i) for i in range(len(COLUMNS))])
def test_numbers_and_codes_of_a_column(column: pa.Array, numbers: Any, codes: Any) -> None:
    found = numbers_of(column)
    np.testing.assert_array_equal(found, numbers) if numbers is not None else None
    assert (found is None) == (numbers is None)
    of_values = codes_of(column)
    assert (None if of_values is None else of_values.tolist()) == codes
