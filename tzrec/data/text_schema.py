"""What the text of a CSV cell means: declared types, inferred ones, and cells that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.data.reader import Reader
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.protos import data_pb2

_SCALARS = {
    data_pb2.INT32: pa.int32(),
    data_pb2.INT64: pa.int64(),
    data_pb2.STRING: pa.string(),
    data_pb2.FLOAT: pa.float32(),
    data_pb2.DOUBLE: pa.float64(),
}


def declared_fields(config: data_pb2.DataConfig) -> dict[str, data_pb2.FieldType | None]:
    """Columns that the config declares, with their type if it says one; input_fields_str wins over input_fields."""
    if not config.input_fields_str:
        return {
            field.input_name: field.input_type if field.HasField("input_type") else None
            for field in config.input_fields
        }
    pairs = (part.strip().partition(":") for part in config.input_fields_str.split(";") if part.strip())
    return {name.strip(): _field_type(kind.strip()) if kind else None for name, _, kind in pairs}


def _field_type(name: str) -> data_pb2.FieldType:
    return data_pb2.FieldType.Value(name)  # type: ignore[return-value]  # the stub says int


def declared_types(config: data_pb2.DataConfig) -> dict[str, pa.DataType]:
    """Columns whose declared type is a scalar one. Lists stay text, which features split themselves."""
    return {name: _SCALARS[kind] for name, kind in declared_fields(config).items() if kind in _SCALARS}


@dataclass(frozen=True)
class TextSchema:
    """Types of columns that come as text, by what they are used for; all empty where files are typed.

    A declared input_type decides. Without one, features get the text itself, weights are floats, and labels and kept
    columns are what the first rows of the first file look like, for all files.
    """

    features: Mapping[str, pa.DataType]
    targets: Mapping[str, pa.DataType]
    kept: Mapping[str, pa.DataType]

    @classmethod
    def of(cls, config: data_pb2.DataConfig, reader: Reader, targets: Sequence[str], keep: Sequence[str]) -> TextSchema:
        """Settle the types of a reader's columns.

        Raises:
            DataError: nothing says what type a label has.
        """
        if not reader.is_text:
            return cls({}, {}, {})
        first = next(reader.read(), None)
        if first is None:
            raise DataError(f"{reader.files[0].name}: no rows")
        declared = declared_types(config)
        weights = dict.fromkeys(config.sample_weight_fields, pa.float64())
        cells = first.batch.column
        return cls(
            features=declared,
            targets={
                name: declared.get(name) or weights.get(name) or _label_type(name, cells(name)) for name in targets
            },
            kept={name: declared.get(name) or natural_type(cells(name)) for name in keep},
        )


def _label_type(name: str, cells: pa.Array) -> pa.DataType:
    kind = number_type(cells)
    if kind is None:
        raise DataError(
            f'label column "{name}": none of the first {len(cells):,} cells is a number; '
            "declare its type in data_config.input_fields, or correct data_config.label_fields"
        )
    return kind


def number_type(cells: pa.Array) -> pa.DataType | None:
    """int64 if all cells that are numbers are written as integers, else float64; None if no cell is a number."""
    numbers = [cell for cell in cells.to_pylist() if cell is not None and _number(cell) is not None]
    if not numbers:
        return None
    return pa.int64() if all(_digits(cell) is not None for cell in numbers) else pa.float64()


def natural_type(cells: pa.Array) -> pa.DataType:
    """The narrowest of int64, float64 and string that holds all cells exactly."""
    for kind in (pa.int64(), pa.float64()):
        try:
            cells.cast(kind)
            return kind
        except pa.ArrowInvalid:
            continue
    return pa.string()


def typed(batch: pa.RecordBatch, types: Mapping[str, pa.DataType], bad: BadRows) -> pa.RecordBatch:
    """A batch with the text of some columns read as the types given; cells that do not fit become null and bad."""
    for name, kind in types.items():
        index = batch.schema.get_field_index(name)
        if index >= 0 and kind != pa.string():
            batch = batch.set_column(index, name, _typed(batch.column(index), name, kind, bad))
    return batch


def _typed(cells: pa.Array, name: str, kind: pa.DataType, bad: BadRows) -> pa.Array:
    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        whole = pa.types.is_integer(kind)
        parse: Callable[[str], Any] = partial(_integer, bits=kind.bit_width) if whole else _number
        texts = cells.to_pylist()
        values = [None if text is None else parse(text) for text in texts]
        rows = [row for row, text in enumerate(texts) if text is not None and values[row] is None]
        reason = "not an integer" if whole else "not a number"
        bad.report(name, reason, np.array(rows, dtype=np.int64), [texts[row] for row in rows])
        return pa.array(values, pa.int64() if whole else pa.float64()).cast(kind, safe=False)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _integer(text: str, bits: int) -> int | None:
    """A whole number of so many bits; "3.0" is one."""
    value = _digits(text)
    if value is None:
        number = _number(text)
        value = int(number) if number is not None and number.is_integer() else None
    return value if value is not None and -(1 << bits - 1) <= value < 1 << bits - 1 else None


def _digits(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
