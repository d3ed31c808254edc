"""Frames: tables of raw columns in memory, of pyarrow, pandas, polars or anything with an Arrow C stream; dicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from tzrec.errors import DataError, first_line

_FIXES = {
    "sparse": 'make it dense: frame["{name}"].sparse.to_dense()',
    "complex": "give its real and imaginary part as two columns",
    "object": 'give all values one type, e.g. frame["{name}"].astype(str)',
}


def as_table(frame: Any, columns: Sequence[str] | None = None) -> pa.Table:
    """Convert a frame to an Arrow table.

    Args:
        frame: a pyarrow Table or RecordBatch, a pandas or polars frame, any object with an Arrow C stream, or a dict of
            columns: name -> list of values.
        columns: the columns to convert; None for all. The others may hold anything.

    Raises:
        DataError: it is not a frame, or a column is missing, exists twice or cannot be converted.
    """
    if isinstance(frame, pa.RecordBatch):
        frame = pa.Table.from_batches([frame])
    if isinstance(frame, Mapping):
        return _of_columns(frame, list(frame if columns is None else dict.fromkeys(columns)))
    if not isinstance(frame, pa.Table) and not hasattr(frame, "__arrow_c_stream__"):
        raise _not_a_table(frame)
    names = _names(frame)
    selected: list[Any] = []
    if names is not None:
        selected = list(dict.fromkeys(names if columns is None else columns))
        _validate_names(selected, names)
        frame = frame.select(selected) if isinstance(frame, pa.Table) else frame[selected]
    if isinstance(frame, pa.Table):
        return frame
    try:
        table = pa.table(frame)
    except Exception as error:  # each library has its own
        raise _conversion_error(frame, selected, error) from error
    if names is not None:  # pandas adds its index, if that is more than the number of a row, as last columns
        return table.select(list(range(len(selected))))
    return table if columns is None else as_table(table, columns)  # without names before, a stream may lack columns


def like(table: pa.Table, frame: Any) -> Any:
    """Return a table as a frame of the library of another one with as many rows.

    Args:
        table: e.g. scores.
        frame: what the table was computed from.

    Returns:
        a pandas frame with the index of the other, or a polars frame; the table itself for all other kinds of frames.
    """
    library = type(frame).__module__.partition(".")[0]
    if library == "pandas":
        return table.to_pandas().set_index(frame.index)
    if library == "polars":
        return type(frame)(table)
    return table


def _of_columns(frame: Mapping[Any, Any], names: Sequence[Any]) -> pa.Table:
    _validate_names(names, list(frame))
    arrays, problems = {}, []
    for name in names:
        if isinstance(frame[name], (str, bytes)) or not isinstance(frame[name], Iterable):
            problems.append(f'column "{name}" is {type(frame[name]).__name__}; give a list with a value for each row')
            continue
        try:
            arrays[name] = pa.array(frame[name])
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            problems.append(f'column "{name}" cannot be read: {first_line(error)}; give all values one type')
    lengths = {name: len(array) for name, array in arrays.items()}
    if not problems and len(set(lengths.values())) > 1:
        given = ", ".join(f'"{name}" has {length:,}' for name, length in lengths.items())
        problems.append(f"the columns have different numbers of values: {given}")
    if problems:
        raise DataError("; ".join(problems))
    return pa.table(arrays)


def _names(frame: Any) -> list[Any] | None:
    """Return the column names of a table of pyarrow or a frame with `columns`; None if it has no such attribute."""
    if isinstance(frame, pa.Table):
        return list(frame.column_names)
    names = getattr(frame, "columns", None)
    return None if names is None else list(names)


def _validate_names(selected: Sequence[Any], names: Sequence[Any]) -> None:
    missing = [name for name in selected if name not in names]
    if missing:
        raise DataError(f"no column {', '.join(map(str, missing))}; the table has {', '.join(map(str, names))}")
    counts = Counter(names)
    repeated = [f'{counts[name]} columns "{name}"' for name in selected if counts[name] > 1]
    if repeated:
        raise DataError(f"the table has {' and '.join(repeated)}; rename or drop all but one")


def _not_a_table(frame: Any) -> DataError:
    kind = type(frame).__name__
    return DataError(
        f"{kind} is not a table; give a pyarrow, pandas (2.2 or newer) or polars frame, or a dict of columns: name -> "
        "list of values"
    )


def _conversion_error(frame: Any, names: Sequence[Any], error: Exception) -> DataError:
    """Create the error for a frame that is not convertible; it names the columns that are not."""
    reasons = [reason for name in names for reason in [_column_problem(frame, name)] if reason]
    if reasons:
        return DataError("; ".join(reasons))
    return DataError(
        f"{type(frame).__name__} cannot be converted to an Arrow table: {first_line(error)}; give a frame, not a "
        "single column of it"
    )


def _column_problem(frame: Any, name: Any) -> str:
    """Describe the reason why a column cannot be converted; "" if it can."""
    try:
        pa.table(frame[[name]])
    except Exception as error:
        kind = str(getattr(frame[name], "dtype", "")) or "unknown"
        fix = next((text for word, text in _FIXES.items() if word in kind.lower()), _FIXES["object"])
        return f'column "{name}" ({kind}) cannot be read: {first_line(error)}; {fix.format(name=name)}'
    return ""
