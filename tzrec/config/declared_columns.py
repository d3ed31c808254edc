"""Columns that data_config declares."""

from __future__ import annotations

from tzrec.protos.data_pb2 import DataConfig, FieldType


def declared_columns(data: DataConfig) -> dict[str, str]:
    """Map declared columns, in file order, to the names of their types, "" for a column without one.

    `input_fields_str` takes precedence over `input_fields`.
    """
    if not data.input_fields_str:
        return {
            field.input_name: FieldType.Name(field.input_type) if field.HasField("input_type") else ""
            for field in data.input_fields
        }
    pairs = (part.partition(":") for part in data.input_fields_str.split(";") if part.strip())
    return {name.strip(): kind.strip() for name, _, kind in pairs}
