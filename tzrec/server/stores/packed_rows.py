"""Rows as packed values, one for each key: eight bytes that name the columns and their types, then MessagePack.

The columns of a value are described once in the store: an Arrow schema under the key `tzrec:columns:<name>`, of which
`<name>`, in hexadecimal digits, is a digest. A table with other columns has another name, so that values of both may
stand in a store at once, as while a table is written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.errors import DataError, SetupError, first_line
from tzrec.server.stores.base import StoredRows

_NAME_BYTES = 8


class PackedColumns:
    """Columns of packed values.

    Args:
        schema: of the columns.

    Attributes:
        schema: of the columns.
        name: first bytes of their values.
        description: value that describes them in a store.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema.remove_metadata()
        self.description = self.schema.serialize().to_pybytes()
        self.name = hashlib.sha256(self.description).digest()[:_NAME_BYTES]

    def pack(self, rows: pa.RecordBatch) -> list[bytes]:
        """Pack rows, of the types of these columns, `(B,)`."""
        pack = _import_msgpack().Packer().pack
        columns = [column.to_pylist() for column in rows.columns]
        return [self.name + pack(row) for row in zip(*columns, strict=True)]


def names_of(values: Sequence[bytes | None]) -> set[bytes]:
    """Names of the columns of values."""
    return {value[:_NAME_BYTES] for value in values if value is not None}


def description_key(name: bytes) -> bytes:
    """Key of the description of columns."""
    return b"tzrec:columns:" + name.hex().encode()


def read_description(name: bytes, description: bytes | None) -> pa.Schema | None:
    """Read the description of columns; None if it is missing or damaged."""
    if description is None or hashlib.sha256(description).digest()[:_NAME_BYTES] != name:
        return None
    return pa.ipc.read_schema(pa.py_buffer(description))


def unpack(values: Sequence[bytes | None], columns: Sequence[str], schemas: Mapping[bytes, pa.Schema]) -> StoredRows:
    """Unpack the values of K keys.

    Args:
        values: None for a key without one.
        columns: to return, those of them that the values have.
        schemas: of the values, by the name of their columns; a value of another name is damaged.

    Raises:
        DataError: values have another type than their column.
    """
    used = [name for name in names_of(values) if name in schemas]
    schema = _unified([schemas[name] for name in used])
    # per name: place in the value of each column of the schema, -1 for one that the value lacks
    places = {name: [schemas[name].get_field_index(column) for column in schema.names] for name in used}
    msgpack = _import_msgpack()
    rows, num_damaged, is_known = [], 0, np.zeros(len(values), bool)
    blank = [None] * len(schema)
    for index, value in enumerate(values):
        row = None if value is None else _unpacked(msgpack, value, schemas)
        num_damaged += value is not None and row is None
        is_known[index] = row is not None
        if row is not None and len(used) > 1:
            assert value is not None
            row = [row[place] if place >= 0 else None for place in places[value[:_NAME_BYTES]]]
        rows.append(blank if row is None else row)
    selected = [name for name in columns if name in schema.names]
    table = pa.table({name: _column(rows, schema, name) for name in selected})
    return StoredRows(table, is_known, num_damaged=num_damaged)


def _unpacked(msgpack: Any, value: bytes, schemas: Mapping[bytes, pa.Schema]) -> list[Any] | None:
    """Values of a row; None if they cannot be read."""
    schema = schemas.get(value[:_NAME_BYTES])
    try:
        row = msgpack.unpackb(value[_NAME_BYTES:])
    except (ValueError, msgpack.UnpackException):
        return None
    return row if schema is not None and isinstance(row, list) and len(row) == len(schema) else None


def _unified(schemas: Sequence[pa.Schema]) -> pa.Schema:
    if len(schemas) < 2:
        return schemas[0] if schemas else pa.schema([])
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"values of one column have different types: {first_line(error)}; write them again") from None


def _column(rows: list[list[Any]], schema: pa.Schema, name: str) -> pa.Array:
    place = schema.get_field_index(name)
    kind = schema.types[place]
    values = [row[place] for row in rows]
    if pa.types.is_map(kind):
        values = [None if value is None else list(map(tuple, value)) for value in values]
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(f'column "{name}": a value is not {kind}: {first_line(error)}; write it again') from None


def _import_msgpack() -> Any:
    try:
        import msgpack
    except ImportError:
        raise SetupError(
            "packed values need the package msgpack: pip install 'tzrec[redis]' or 'tzrec[lmdb]'"
        ) from None
    return msgpack
