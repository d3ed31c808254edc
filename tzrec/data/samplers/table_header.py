"""Header of a table of nodes or edges: names and types of its columns, and for text the delimiter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from tzrec.data.paths import InputFile, reading
from tzrec.errors import DataError
from tzrec.formatting import shorten

EXAMPLE = "id:int64<TAB>weight:float<TAB>attrs:string"
_BYTES = 1 << 16
_TYPE_BY_WORD = {
    **dict.fromkeys(("int64", "int32", "int", "bigint", "long"), "int64"),
    **dict.fromkeys(("string", "str", "varchar"), "string"),
    **dict.fromkeys(("float", "double", "float32", "float64"), "float"),
}
_NUMBER = re.compile(r"\s*[+-]?[0-9]+(\.[0-9]*)?\s*")


@dataclass(frozen=True)
class TableHeader:
    """Columns of a table.

    Attributes:
        names: of the columns.
        types: of the columns: "int64", "string" or "float"; "" for one that the header does not tell.
        delimiter: of text; "" for a columnar file.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    delimiter: str = ""

    def with_id_type(self, kind: str) -> TableHeader:
        """Return a copy with the type of the first column."""
        return replace(self, types=(kind, *self.types[1:]))


def text_header(file: InputFile, delimiter: str) -> TableHeader | None:
    """Read the first line of a text file, and infer the type of ids that it does not tell from the second one.

    Args:
        file: the file.
        delimiter: configured one; "" for none. A header that it does not divide is divided by tabs or commas.

    Returns:
        The header; None for a file without any text.

    Raises:
        DataError: the line is no header.
    """
    with reading(file, "text"), file.filesystem.open_input_stream(file.path) as stream:
        begin = bytes(stream.read(_BYTES))
    lines = begin.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    if not lines or not lines[0].strip():
        return None
    candidates = [mark for mark in (delimiter, "\t", ",") if mark and mark in lines[0]]
    if not candidates:
        raise _no_header(file, lines[0], delimiter)
    header = _parse(file, lines[0], candidates[0])
    if not header.types[0]:
        first = lines[1].split(header.delimiter)[0] if len(lines) > 1 else ""
        header = header.with_id_type("int64" if _NUMBER.fullmatch(first) else "string")
    return header


def _parse(file: InputFile, line: str, delimiter: str) -> TableHeader:
    cells = line.split(delimiter)
    if any(_NUMBER.fullmatch(cell) for cell in cells[:2]):
        raise _no_header(file, line, "")
    names, types = [], []
    for cell in cells:
        name, _, word = cell.strip().strip('"').partition(":")
        kind = _TYPE_BY_WORD.get(word.strip().lower(), "") if word else ""
        if word and not kind:
            words = ", ".join(_TYPE_BY_WORD)
            raise DataError(f'{file.name}:1: column "{name}" has the unknown type "{word}"; write one of {words}')
        names.append(name)
        types.append(kind)
    return TableHeader(tuple(names), tuple(types), delimiter)


def _no_header(file: InputFile, line: str, delimiter: str) -> DataError:
    divided = f"; field_delimiter is {delimiter!r}" if delimiter else ""
    return DataError(
        f"{file.name}:1: {shorten(line)!r} is no header of a table{divided}. Write the names and types of the columns "
        f"in the first line: {EXAMPLE}"
    )


def columnar_header(schema: pa.Schema) -> TableHeader:
    """Return the header of a columnar file."""
    return TableHeader(tuple(schema.names), tuple(_kind(field.type) for field in schema))


def _kind(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(kind):
        return "int64"
    return "float" if types.is_floating(kind) or types.is_decimal(kind) else "string"


def position(header: TableHeader, name: str, default: int) -> int:
    """Return the position of a column by its name, else a default one."""
    return header.names.index(name) if name in header.names else default


def require_width(file: InputFile, header: TableHeader, names: Sequence[str]) -> None:
    """Check that a table has at least the columns `names`.

    Raises:
        DataError: it has fewer.
    """
    if len(header.names) < len(names):
        raise DataError(
            f"{file.name}: has {len(header.names)} columns ({', '.join(header.names)}), but needs {len(names)}: "
            f"{', '.join(names)}"
        )
