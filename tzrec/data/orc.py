"""OrcReader: ORC files, whose blocks are stripes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import orc

from tzrec.data.columnar import ColumnarReader
from tzrec.data.columnar_format import ColumnarFile, ColumnarFormat
from tzrec.data.paths import InputFile

_FOOTER, _STRIPES, _STRIPE_ROWS = 2, 3, 5
"""Field numbers of FileTail.footer, Footer.stripes and StripeInformation.numberOfRows in orc_proto.proto."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf."""


class OrcFormat(ColumnarFormat):
    """Format of ORC files. A stripe is decoded as a whole, in the columns that are read."""

    name, dataset_type, magic, extension = "ORC", "OrcDataset", b"ORC", "orc"

    def write(self, table: pa.Table, path: str) -> None:
        orc.write_table(table, path)

    def open(self, file: InputFile, metadata: Any = None) -> ColumnarFile:
        return _OrcFile(file)


class _OrcFile(ColumnarFile):
    """An open ORC file."""

    def __init__(self, file: InputFile) -> None:
        self._source = file.filesystem.open_input_file(file.path)
        try:
            self._orc = orc.ORCFile(self._source)
            self.schema = self._orc.schema
        except BaseException:
            self._source.close()
            raise

    @property
    def block_rows(self) -> npt.NDArray[np.int64]:
        return stripe_rows(self._orc.reader.serialized_file_tail())

    def read(self, first: int, after: int, columns: Sequence[str], piece_rows: int) -> Iterator[pa.RecordBatch]:
        for stripe in range(first, after):
            batch = self._orc.read_stripe(stripe, columns=list(columns)).select(list(columns))
            for begin in range(0, batch.num_rows, piece_rows):
                yield batch.slice(begin, piece_rows)

    def close(self) -> None:
        self._source.close()


def stripe_rows(tail: bytes) -> npt.NDArray[np.int64]:
    """Read the number of rows of every stripe `(stripes,)` from a serialized FileTail: pyarrow has no function for it.

    Args:
        tail: protobuf message of the end of an ORC file.
    """
    (footer,) = (value for number, value in _fields(tail) if number == _FOOTER)
    stripes = [dict(_fields(value)) for number, value in _fields(footer) if number == _STRIPES]
    return np.array([stripe.get(_STRIPE_ROWS, 0) for stripe in stripes], np.int64)


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a protobuf message: numbers as integers, strings and messages as bytes."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire_type)
        if wire_type == _BYTES:
            size, position = _varint(message, position)
        if size is None:
            raise OSError(f"field {number} of the file tail has the unknown wire type {wire_type}")
        yield number, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Decode a number of variable length; returns it and the position behind it."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


class OrcReader(ColumnarReader):
    """Reader of ORC files. Columns and stripes that are not asked for are not read."""

    file_format = OrcFormat()
