"""Keys of ids: integers are their own keys, text is hashed to 63 bits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tzrec.data.text_schema import cast_text
from tzrec.errors import DataError
from tzrec.features.arrays import Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.features.text.spans import Spans, text_buffers

_HASH_SIZE = 1 << 63


def text_keys(texts: pa.Array) -> Int64Array:
    """Return the keys of text ids; 0 for null and ""."""
    data, starts, ends, null = text_buffers(texts)
    keys = Spans(data, starts, ends).hash(_HASH_SIZE)
    keys[starts == ends] = 0
    keys[np.flatnonzero(null)] = 0
    return keys


def column_keys(column: pa.Array, kind: str, name: str, bad: BadRows) -> Int64Array:
    """Return the keys of a column of a batch, 0 for null.

    Args:
        column: integers or text `(B,)`.
        kind: of the ids of the table: "int64" or "string".
        name: of the column.
        bad: receives text that is no integer where the table has integers.

    Raises:
        DataError: the column is neither integers nor text.
    """
    types = pa.types
    is_text = types.is_string(column.type) or types.is_large_string(column.type)
    if not (is_text or types.is_integer(column.type)):
        raise DataError(
            f'column "{name}" is {column.type}; a sampler needs one integer or text per row as id. Name another column '
            "in item_id_field or user_id_field of the sampler, or write the column so"
        )
    if kind == "string":
        return text_keys(column if is_text else column.cast(pa.string()))
    if is_text:
        column = cast_text(pa.RecordBatch.from_arrays([column], [name]), {name: pa.int64()}, bad).column(0)
    filled = column.fill_null(0) if column.null_count else column
    return filled.cast(pa.int64()).to_numpy()
