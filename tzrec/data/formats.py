"""File formats by their first bytes: which data_config.dataset_type a file needs."""

from __future__ import annotations

from tzrec.data.arrow import ArrowFormat
from tzrec.data.columnar_format import ColumnarFormat
from tzrec.data.orc import OrcFormat
from tzrec.data.parquet import ParquetFormat

COLUMNAR: tuple[ColumnarFormat, ...] = (ParquetFormat(), OrcFormat(), ArrowFormat())
"""Formats of columnar files."""

_ARROW_STREAM = b"\xff\xff\xff\xff"
_NOT_READ = {
    _ARROW_STREAM: "It is an Arrow IPC stream, which has no footer: write it as a file with pyarrow.ipc.new_file",
    b"FEA1": "It is a Feather file of version 1: write it again with version 2",
    b"Obj\x01": "It is an Avro file: write it as Parquet",
    b"\x1f\x8b": "It is compressed by gzip: decompress it, unless it is text",
    b"\x28\xb5\x2f\xfd": "It is compressed by zstd: decompress it, unless it is text",
    b"PK\x03\x04": "It is a zip archive: unpack it",
}
_TEXT = (
    "If it is delimited text, set data_config.dataset_type to CsvDataset, data_config.delimiter, and "
    "data_config.with_header or input_fields"
)


def columnar_format(begin: bytes) -> ColumnarFormat | None:
    """Return the columnar format of a file that begins with these bytes; None if it is no such file."""
    is_binary = any(byte < 32 and byte not in b"\t\n\r" for byte in begin)  # the header of text may begin with ORC
    return next((item for item in COLUMNAR if is_binary and begin.startswith(item.magic)), None)


def format_of_bytes(begin: bytes) -> str:
    """Describe the format of a file that begins with these bytes, and what to set or to change.

    Args:
        begin: at least one byte.
    """
    known = columnar_format(begin)
    if known:
        article = "an" if known.name[0] in "AO" else "a"
        return f"It is {article} {known.name} file: set data_config.dataset_type to {known.dataset_type}"
    other = next((text for magic, text in _NOT_READ.items() if begin.startswith(magic)), "")
    return other or ("" if b"\0" in begin else _TEXT)
