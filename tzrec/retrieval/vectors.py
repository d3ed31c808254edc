"""Columns of ids and of vectors, as `tzrec predict` and other programs write them, as arrays.

A vector is a list of numbers, or text with commas: `0.25,-1`. Several vectors of a row, the interests of a user, are a
list of lists, one long list, or text with semicolons between them: `0.25,-1;0.5,2`. Brackets in text are ignored, so
that the lists of a CSV file that tzrec wrote can be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import DataError
from tzrec.log import logger

Floats = npt.NDArray[np.float32]
DescribeRow = Callable[[int], str]


def row_number(row: int) -> str:
    """Describe a row of a table in memory by its number, from 0."""
    return f"row {row:,}"


@dataclass(frozen=True)
class ItemVectors:
    """Items of an index.

    Attributes:
        ids: of the items, int64 or large_string, each once.
        values: `(N, D)`.
    """

    ids: pa.Array
    values: Floats

    @classmethod
    def of(cls, ids: pa.Array, values: Floats) -> ItemVectors:
        """Keep the first row of each id; a warning tells the number of the others.

        Args:
            ids: see `to_ids`.
            values: `(N, D)`.
        """
        rows = _first_rows(ids)
        if len(rows) < len(ids):
            count = f"{len(ids) - len(rows):,} of {len(ids):,}"
            logger.warning("index  %s rows repeat the id of another one; the first row of each id is indexed", count)
            ids, values = ids.take(pa.array(rows)), values[rows]
        return cls(ids, np.ascontiguousarray(values, np.float32))

    @property
    def dimension(self) -> int:
        """Width of a vector."""
        return int(self.values.shape[1])


def _first_rows(ids: pa.Array) -> npt.NDArray[np.int64]:
    """Rows in which an id occurs for the first time, in order."""
    table = pa.table({"id": ids, "row": np.arange(len(ids))})
    rows = table.group_by("id").aggregate([("row", "min")])["row_min"].to_numpy()
    return np.sort(rows)


def to_ids(column: pa.Array | pa.ChunkedArray, name: str, describe: DescribeRow = row_number) -> pa.Array:
    """Convert a column of ids to int64, or of text and uint64 to large_string.

    Args:
        column: whole numbers or text.
        name: of the column, for the errors.
        describe: names a row, for the errors.

    Raises:
        DataError: another type, a missing value, or text with a line break, which the file of ids cannot hold.
    """
    array = _flat(column)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if not (pa.types.is_integer(array.type) or is_text(array.type)):
        raise DataError(f'column "{name}" of ids is {array.type}; convert it to whole numbers or text')
    if array.null_count:
        row = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(f'{describe(row)}: column "{name}" has no id; remove the row, or fill in its id')
    if pa.types.is_integer(array.type):
        return array.cast(pa.large_string() if array.type == pa.uint64() else pa.int64())
    text = array.cast(pa.large_string())
    broken = np.flatnonzero(pc.match_substring_regex(text, "[\r\n]").to_numpy(zero_copy_only=False))
    if len(broken):
        row = int(broken[0])
        raise DataError(
            f'{describe(row)}: column "{name}" has an id with a line break: {text[row].as_py()!r}; replace it'
        )
    return text


def to_vectors(
    column: pa.Array | pa.ChunkedArray, name: str, dimension: int = 0, describe: DescribeRow = row_number
) -> Floats:
    """Convert a column of vectors, one per row.

    Args:
        column: lists of numbers, or text.
        name: of the column, for the errors.
        dimension: width that the vectors must have; 0 for that of the first one.
        describe: names a row, for the errors.

    Returns:
        `(rows, dimension)`.

    Raises:
        DataError: another type, a missing vector, one of another width, or with a number that is not finite.
    """
    numbers, lengths = _numbers(column, name, describe)
    width = dimension or (int(lengths[0]) if len(lengths) else 0)
    wrong = np.flatnonzero(lengths != width) if width else np.arange(min(len(lengths), 1))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f'{describe(row)}: column "{name}" has {_describe(int(lengths[row]))}; {_expected(width, dimension)}'
        )
    return numbers.reshape(-1, width) if width else numbers.reshape(len(lengths), 0)


def to_interests(
    column: pa.Array | pa.ChunkedArray,
    name: str,
    dimension: int,
    num_interests: int,
    describe: DescribeRow = row_number,
) -> Floats:
    """Convert a column of users' vectors, several per row; missing ones are zero vectors, which find nothing.

    Args:
        column: lists of numbers, lists of lists, or text.
        name: of the column, for the errors.
        dimension: width of a vector.
        num_interests: greatest number of vectors of a row.
        describe: names a row, for the errors.

    Returns:
        `(rows, num_interests, dimension)`.

    Raises:
        DataError: another type, or a row that is no whole number of vectors, at most `num_interests`.
    """
    numbers, lengths = _numbers(column, name, describe)
    full = num_interests * dimension
    wrong = np.flatnonzero((lengths % dimension != 0) | (lengths > full))
    if len(wrong):
        row = int(wrong[0])
        vectors = f"{num_interests:,} vectors" if num_interests > 1 else "one vector"
        raise DataError(
            f'{describe(row)}: column "{name}" has {_describe(int(lengths[row]))}; the items have vectors of '
            f"{dimension:,}, and a user has at most {vectors}. Use items and users of the same model, or set the "
            "number of interests (--num_interests)"
        )
    result = np.zeros((len(lengths), full), np.float32)
    result[np.arange(full) < lengths[:, None]] = numbers
    return result.reshape(len(lengths), num_interests, dimension)


def is_text(kind: pa.DataType) -> bool:
    """Return True for text of Arrow."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _numbers(
    column: pa.Array | pa.ChunkedArray, name: str, describe: DescribeRow
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Numbers of all rows, and their count in each row.

    Raises:
        DataError: another type, a missing cell or number, or a number that is not finite.
    """
    array = _flat(column)
    if array.null_count:
        row = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(f'{describe(row)}: column "{name}" has no vector; remove the row, or fill it in')
    if is_text(array.type):
        array = _split(array, name, describe)
    lengths = None
    while _is_list(array.type):
        sizes = _list_lengths(array)
        lengths = sizes if lengths is None else _sums(sizes, lengths)
        array = array.flatten()
    if lengths is None or not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type)):
        kind = _flat(column).type
        raise DataError(f'column "{name}" is {kind}; a vector is a list of numbers, or text such as "0.25,-1"')
    values = array.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    bad = np.flatnonzero(~np.isfinite(values))  # a missing number is NaN
    if len(bad):
        row = int(np.searchsorted(np.cumsum(lengths), bad[0], side="right"))
        raise DataError(
            f'{describe(row)}: column "{name}" has a number that is missing or not finite in float32; remove '
            "the row, or train and export the model again"
        )
    return values, lengths


def _split(array: pa.Array, name: str, describe: DescribeRow) -> pa.Array:
    """Convert text of vectors to lists."""
    plain = pc.replace_substring_regex(array.cast(pa.large_string()), r"[\[\]\s]", "")
    plain = pc.replace_substring(plain, ";", ",")
    lists = pc.split_pattern(plain, ",")
    words = lists.flatten()
    try:
        numbers = words.cast(pa.float32())
    except pa.ArrowInvalid:
        row, word = next(
            (row, word) for row, cell in enumerate(lists.to_pylist()) for word in cell if not _is_number(word)
        )
        raise DataError(
            f'{describe(row)}: column "{name}" has {word!r} in place of a number; a vector is text such as '
            '"0.25,-1", and several are separated by ";"'
        ) from None
    return pa.LargeListArray.from_arrays(lists.offsets, numbers)


def _is_number(word: str) -> bool:
    try:
        pa.scalar(word).cast(pa.float32())
    except pa.ArrowInvalid:
        return False
    return True


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _list_lengths(array: pa.Array) -> npt.NDArray[np.int64]:
    return pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def _sums(values: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Sum consecutive runs of values; the lengths of the runs add up to their number."""
    ends = np.concatenate([[0], np.cumsum(values)])
    stops = np.cumsum(lengths)
    return ends[stops] - ends[stops - lengths]


def _describe(length: int) -> str:
    return f"{length:,} numbers" if length != 1 else "1 number"


def _expected(width: int, dimension: int) -> str:
    if dimension:
        return f"the index has vectors of {dimension:,}. Use vectors of the same model"
    return f"the first row has {_describe(width)}. All rows must have as many" if width else "a vector cannot be empty"
