"""Raw rows from an engine, as a Reader yields them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa

from tzrec.data.null_words import without_words
from tzrec.errors import DataError
from tzrec.features.column_types import decode


def check_columns(columns: Sequence[str], names: Sequence[str]) -> None:
    """Check that rows have columns.

    Args:
        columns: to be read.
        names: of the columns of the rows.

    Raises:
        DataError: a column is missing, or exists twice.
    """
    missing = [name for name in columns if name not in names]
    if missing:
        raise DataError(f"no column {', '.join(missing)} in the rows; their columns are {', '.join(names)}")
    repeated = [name for name in columns if names.count(name) > 1]
    if repeated:
        raise DataError(f"several columns {', '.join(repeated)} in the rows; rename or drop all but one of each")


def raw_rows(
    rows: pa.RecordBatch | pa.Table, columns: Sequence[str], null_values: Collection[str] = ()
) -> pa.RecordBatch:
    """Select columns of rows as one RecordBatch, of the types that a Reader yields.

    Args:
        rows: of an engine.
        columns: to select.
        null_values: texts that become nulls, as in a Reader.

    Raises:
        DataError: a column is missing, or exists twice.
    """
    check_columns(columns, rows.schema.names)
    table = (pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows).select(list(columns))
    batches = table.combine_chunks().to_batches()
    raw = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    return pa.RecordBatch.from_arrays(
        [without_words(decode(column), null_values) for column in raw.columns], list(columns)
    )
