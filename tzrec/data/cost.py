"""Batches of limited cost: the rows of a step are cut where their costs exceed data_config.batch_cost_size."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tzrec.data.text_schema import cast_text
from tzrec.errors import DataError
from tzrec.features.arrays import Int64Array
from tzrec.features.bad_rows import BadRows


def row_costs(column: pa.Array, name: str) -> Int64Array:
    """Return the cost of each row `(B,)`; 0 for null and for a negative number.

    Args:
        column: whole numbers, or text of them.
        name: of the column.

    Raises:
        DataError: the column is not whole numbers.
    """
    bad = BadRows(len(column))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        batch = pa.RecordBatch.from_arrays([column.cast(pa.string())], [name])
        column = cast_text(batch, {name: pa.int64()}, bad).column(0)
    if bad or not pa.types.is_integer(column.type):
        received = f"has {bad.reports[0][3][0]!r}" if bad else f"is {column.type}"
        raise DataError(
            f'column "{name}" {received}, but data_config.sample_cost_field needs whole numbers; correct the column or '
            "name another one"
        )
    return np.maximum(column.cast(pa.int64()).fill_null(0).to_numpy(), 0)


def cut_by_cost(costs: Int64Array, limit: int) -> list[tuple[int, int]]:
    """Cut rows into batches in turn: the most rows whose costs are at most `limit` together, but at least one row.

    Args:
        costs: of the rows `(B,)`.
        limit: largest cost of a batch of several rows.

    Returns:
        first row of each batch, and the row after its last one.
    """
    ends = np.cumsum(costs)
    cuts = []
    begin = 0
    while begin < len(costs):
        before = int(ends[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(ends, before + limit, side="right")), begin + 1)
        cuts.append((begin, end))
        begin = end
    return cuts
