"""Analysis of a run for its report."""

from __future__ import annotations

from tzrec.data.batch import Batch
from tzrec.run.analysis import rows_first


def test_batches_with_rows_are_permuted_first() -> None:
    batches = [Batch(rows=rows) for rows in (0, 3, 0, 1)]
    assert [batch.rows for batch in rows_first(batches)] == [3, 1, 0, 0]
