"""Types of CSV columns: declared types, inferred types, and the cast of cells to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.config.declared_columns import declared_columns
from tzrec.config.label_texts import text_label_advice
from tzrec.data.label_values import num_by_text
from tzrec.data.reader import Reader
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.protos import data_pb2

NOT_UTF8 = "not UTF-8"
"""Reason of a bad cell."""
_ROWS_TO_INFER = 1 << 20
"""Rows at the start of the first file from which types are inferred; fewer if they are more than a chunk of text."""
_DECIMAL = r"([+-]?[0-9]+)\.0*"
_SCALARS = {
    data_pb2.INT32: pa.int32(),
    data_pb2.INT64: pa.int64(),
    data_pb2.STRING: pa.string(),
    data_pb2.FLOAT: pa.float32(),
    data_pb2.DOUBLE: pa.float64(),
}


def declared_fields(config: data_pb2.DataConfig) -> dict[str, data_pb2.FieldType | None]:
    """Map declared columns to their type, None if not declared."""
    return {name: _field_type(kind) if kind else None for name, kind in declared_columns(config).items()}


def _field_type(name: str) -> data_pb2.FieldType:
    return data_pb2.FieldType.Value(name)  # type: ignore[return-value]  # the stub says int


def declared_types(config: data_pb2.DataConfig) -> dict[str, pa.DataType]:
    """Map columns with a declared scalar type to it. Lists stay text, which features split."""
    return {name: _SCALARS[kind] for name, kind in declared_fields(config).items() if kind in _SCALARS}


@dataclass(frozen=True)
class TextSchema:
    """Types of text columns, by use; all empty if the files have types.

    A declared input_type takes precedence. Otherwise features receive text, weights are floats, and the types of labels
    and reserved columns are inferred from the first rows of the first file, for all files.
    """

    features: Mapping[str, pa.DataType]
    targets: Mapping[str, pa.DataType]
    reserved: Mapping[str, pa.DataType]

    @property
    def is_text(self) -> bool:
        """True for text files."""
        return bool(self.features or self.targets or self.reserved)

    @classmethod
    def of(
        cls,
        config: data_pb2.DataConfig,
        reader: Reader,
        features: Sequence[str],
        targets: Sequence[str] = (),
        reserved: Sequence[str] = (),
    ) -> TextSchema:
        """Determine the types of the columns of a reader.

        Args:
            config: declares types.
            reader: reads the first rows.
            features: columns that features read.
            targets: labels and weights.
            reserved: columns to copy.

        Raises:
            DataError: the type of a label cannot be inferred.
        """
        if not reader.is_text:
            return cls({}, {}, {})
        first = next(reader.read(piece_rows=_ROWS_TO_INFER), None)
        if first is None:
            raise DataError(f"{reader.files[0].name}: no rows{reader.bad_lines.describe()}")
        declared = declared_types(config)
        known = dict.fromkeys(config.sample_weight_fields, pa.float64())
        known |= declared | {entry.label: pa.string() for entry in config.label_values}
        target_types = {name: known.get(name) for name in targets}

        def cells(name: str) -> pa.Array:
            return valid_text(first.batch.column(name))[0]

        return cls(
            features={name: declared.get(name, pa.string()) for name in features},
            targets={name: kind or _label_type(name, cells(name)) for name, kind in target_types.items()},
            reserved={name: declared.get(name) or infer_type(cells(name)) for name in reserved},
        )


def _label_type(name: str, cells: pa.Array) -> pa.DataType:
    kind = infer_number_type(cells)
    if kind is None:
        advice = "declare its type in data_config.input_fields, or correct data_config.label_fields"
        if cells.null_count < len(cells):
            advice = text_label_advice(name, num_by_text(cells))
        raise DataError(f'label column "{name}": none of the first {len(cells):,} cells is a number; {advice}')
    return kind


def infer_number_type(cells: pa.Array) -> pa.DataType | None:
    """Infer int64 if all numeric cells are integers, else float64; None if no cell is a number."""
    numbers = [cell for cell in cells.to_pylist() if cell is not None and _parse_number(cell) is not None]
    if not numbers:
        return None
    return pa.int64() if all(_parse_integer(cell) is not None for cell in numbers) else pa.float64()


def infer_type(cells: pa.Array) -> pa.DataType:
    """Infer the narrowest of int64, float64 and string that represents all cells exactly."""
    for kind in (pa.int64(), pa.float64()):
        try:
            cells.cast(kind)
            return kind
        except pa.ArrowInvalid:
            continue
    return pa.string()


def cast_text(batch: pa.RecordBatch, types: Mapping[str, pa.DataType], bad: BadRows) -> pa.RecordBatch:
    """Cast text columns of a batch to the given types; invalid cells become null and are reported."""
    for name, kind in types.items():
        index = batch.schema.get_field_index(name)
        if index < 0:
            continue
        column = batch.column(index)
        cells, rows, texts = valid_text(column)
        bad.report(name, NOT_UTF8, rows, texts)
        if kind != pa.string():
            cells = _cast_column(cells, name, kind, bad)
        if cells is not column:
            batch = batch.set_column(index, name, cells)
    return batch


def valid_text(cells: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64], Sequence[str]]:
    """Replace cells that are not UTF-8 by null.

    Returns:
        the column, the same object if all cells are valid; the replaced rows; and their text, with marks for invalid
        bytes.
    """
    raw = cells.view(pa.binary())
    try:
        raw.cast(pa.string())
        return cells, np.empty(0, np.int64), ()
    except pa.ArrowInvalid:
        values: list[bytes | None] = raw.to_pylist()
    decoded = [None if value is None else value.decode("utf-8", "replace") for value in values]
    rows = [row for row, value in enumerate(values) if value is not None and decoded[row].encode() != value]  # type: ignore[union-attr]
    for row in rows:
        values[row] = None
    return (
        pa.array(values, pa.binary()).cast(pa.string()),
        np.array(rows, np.int64),
        [str(decoded[row]) for row in rows],
    )


def _cast_column(cells: pa.Array, name: str, kind: pa.DataType, bad: BadRows) -> pa.Array:
    is_integer = pa.types.is_integer(kind)
    for text in _readings(cells, is_integer):
        with suppress(pa.ArrowInvalid):
            return text.cast(kind)
    parse: Callable[[str], Any] = partial(_bounded_integer, bits=kind.bit_width) if is_integer else _parse_number
    texts = cells.to_pylist()
    values = [None if text is None else parse(text) for text in texts]
    rows = [row for row, text in enumerate(texts) if text is not None and values[row] is None]
    reason = "not an integer" if is_integer else "not a number"
    bad.report(name, reason, np.array(rows, dtype=np.int64), [texts[row] for row in rows])
    return pa.array(values, pa.int64() if is_integer else pa.float64()).cast(kind, safe=False)


def _readings(cells: pa.Array, is_integer: bool) -> Iterator[pa.Array]:
    """Yield the cells as they are, then integers without the zeros of decimals: 7.0 as 7, also beyond 2^53."""
    yield cells
    if is_integer:
        yield pc.replace_substring_regex(cells, rf"^\s*{_DECIMAL}\s*$", r"\1")


def _parse_number(text: str) -> float | None:
    """Parse a number in ASCII; Python would read underscores and the digits of other scripts as well."""
    if not text.isascii() or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _bounded_integer(text: str, bits: int) -> int | None:
    """Parse a signed integer of `bits` bits; "3.0" and "3e2" are integers."""
    value = _parse_integer(re.sub(rf"^{_DECIMAL}$", r"\1", text.strip()))
    if value is None:
        number = _parse_number(text)
        value = int(number) if number is not None and number.is_integer() else None
    return value if value is not None and -(1 << bits - 1) <= value < 1 << bits - 1 else None


def _parse_integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\s*[+-]?[0-9]+\s*", text) else None
