"""TableReader: rows of a table of nodes or edges, from text or columnar files of any store, as typed columns."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from tzrec.data.columnar_format import ColumnarFormat
from tzrec.data.formats import columnar_format
from tzrec.data.paths import InputFile, absolute, expand, reading
from tzrec.data.samplers.table_header import TableHeader, columnar_header, text_header
from tzrec.errors import DataError
from tzrec.formatting import shorten

_BLOCK_BYTES = 16 << 20
_PIECE_ROWS = 1 << 18
_INTEGER = re.compile(r"\s*-?[0-9]+\s*")
_ARROW_TYPE = {"int64": pa.int64(), "float": pa.float64(), "string": pa.string()}


@dataclass(frozen=True)
class TableColumn:
    """Column to read.

    Attributes:
        position: among the columns of the file.
        kind: "int64", "float" or "string".
        role: "id", "weight" or "attributes", for messages.
        find_invalid: returns a mask of the values that are not allowed; None if all are.
        rule: what `find_invalid` demands.
    """

    position: int
    kind: str
    role: str
    find_invalid: Callable[[pa.Array], pa.Array] | None = None
    rule: str = ""


class TableReader:
    """Reader of the files of a table; all must have the same columns.

    Attributes:
        files: of the table.
        header: of the first file that has one; None for a table without any text.

    Args:
        path: comma list of files, folders and globs.
        delimiter: of text; "" for tab.

    Raises:
        DataError: there is no such file, or its first line is no header.
    """

    def __init__(self, path: str, delimiter: str = "") -> None:
        if path.startswith("odps://"):
            raise DataError(
                f'"{path}": MaxCompute tables cannot be read; export it to a file, e.g. by `tunnel download TABLE '
                "FILE.csv`, write the header with names and types in its first line, and give the path of the file"
            )
        self.files = expand(path)
        self._delimiter = delimiter
        self._versions = [file.version() for file in self.files]
        self._headers = [self._header_of(file) for file in self.files]
        self.header = next((header for header in self._headers if header), None)
        for file, header in zip(self.files, self._headers, strict=True):
            if header and self.header and header.names != self.header.names:
                raise DataError(
                    f"{file.name}: has the columns {', '.join(header.names)}, but {self.files[0].name} has "
                    f"{', '.join(self.header.names)}; write the same header in all files of a table"
                )

    @property
    def identity(self) -> list[Any]:
        """Names and versions of the files, and the delimiter."""
        versions = zip(self.files, self._versions, strict=True)
        names = [[absolute(file.name), version.size, version.modified_ns] for file, version in versions]
        return [*names, self._delimiter]

    def _header_of(self, file: InputFile) -> TableHeader | None:
        form = _columnar(file)
        if form is None:
            return text_header(file, self._delimiter)
        with form.opened(file) as opened:
            return columnar_header(opened.schema)

    def batches(self, columns: Sequence[TableColumn]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all files: int64, float64 and string columns without nulls.

        Args:
            columns: to read, in the order of the result.

        Raises:
            DataError: a row that is malformed, with its file and line.
        """
        for file, header, version in zip(self.files, self._headers, self._versions, strict=True):
            if header is None:
                continue
            form = _columnar(file)
            pieces = _text_batches(file, header, columns) if form is None else _columnar_batches(file, form, columns)
            yield from pieces
            file.ensure_unchanged(version)


def _columnar(file: InputFile) -> ColumnarFormat | None:
    """Return the columnar format of a file; None for text."""
    with reading(file, "a table"), file.filesystem.open_input_stream(file.path, compression=None) as stream:
        return columnar_format(bytes(stream.read(64)))


def _text_batches(file: InputFile, header: TableHeader, columns: Sequence[TableColumn]) -> Iterator[pa.RecordBatch]:
    names = [f"c{index}" for index in range(len(header.names))]
    chosen_names = [names[column.position] for column in columns]
    try:
        with file.filesystem.open_input_stream(file.path) as stream, _open_csv(stream, header, names, columns) as rows:
            for batch in rows:
                chosen = batch.select(chosen_names)
                if any(_has_invalid(chosen.column(i), column) for i, column in enumerate(columns)):
                    raise _bad_line(file, header, columns, "")
                yield chosen
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise _bad_line(file, header, columns, str(error)) from None
    except OSError as error:
        raise DataError(f"{file.name}: cannot be read: {error}") from error


def _open_csv(
    stream: pa.NativeFile, header: TableHeader, names: Sequence[str], columns: Sequence[TableColumn]
) -> pacsv.CSVStreamingReader:
    types = {names[column.position]: _ARROW_TYPE[column.kind] for column in columns}
    return pacsv.open_csv(
        stream,
        pacsv.ReadOptions(block_size=_BLOCK_BYTES, column_names=names, skip_rows=1),
        pacsv.ParseOptions(delimiter=header.delimiter, quote_char='"' if header.delimiter == "," else False),
        pacsv.ConvertOptions(
            column_types=types, include_columns=list(types), null_values=[], strings_can_be_null=False
        ),
    )


def _has_invalid(values: pa.Array, column: TableColumn) -> bool:
    return column.find_invalid is not None and bool(pc.any(column.find_invalid(values)).as_py())


def _bad_line(file: InputFile, header: TableHeader, columns: Sequence[TableColumn], detail: str) -> DataError:
    """Read a text file again, line by line, for the first line that is malformed."""
    with file.filesystem.open_input_stream(file.path) as stream:
        text = io.TextIOWrapper(io.BufferedReader(stream), "utf-8", "surrogateescape", newline="")
        is_quoted = header.delimiter == ","
        rows = csv.reader(text, delimiter=header.delimiter, quoting=csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE)
        next(rows)
        try:
            for cells in rows:
                problem = _line_problem(cells, header, columns) if cells else ""
                if problem:
                    return DataError(f"{file.name}:{rows.line_num}: {problem}")
        except csv.Error as error:
            return DataError(f"{file.name}:{rows.line_num}: {error}; correct or delete the line")
    return DataError(f"{file.name}: cannot be read as a table: {detail}; correct the file")


def _line_problem(cells: Sequence[str], header: TableHeader, columns: Sequence[TableColumn]) -> str:
    if len(cells) != len(header.names):
        expected = ", ".join(header.names)
        return (
            f"has {len(cells)} columns in place of {len(header.names)} ({expected}), divided by {header.delimiter!r}; "
            "correct or delete the line"
        )
    for column in columns:
        cell, name = cells[column.position], header.names[column.position]
        reason = _cell_problem(cell, column)
        if reason:
            shown = shorten(cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
            return f'column "{name}" ({column.role}) has {shown!r}: {reason}'
    return ""


def _cell_problem(cell: str, column: TableColumn) -> str:
    if column.kind == "int64" and not (_INTEGER.fullmatch(cell) and -(1 << 63) <= int(cell) < 1 << 63):
        return "not a 64-bit integer; correct the line, or declare the column as string in the header, e.g. id:string"
    if column.kind == "float":
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            return "not a number; correct the line"
        if column.find_invalid and column.find_invalid(pa.array([value])).to_pylist()[0]:
            return f"{column.rule}; correct the line"
    if column.kind == "string":
        try:
            cell.encode("utf-8")
        except UnicodeEncodeError:
            return "not UTF-8; convert the file, e.g. iconv -f LATIN1 -t UTF-8 FILE > NEW_FILE"
        if column.find_invalid and column.find_invalid(pa.array([cell])).to_pylist()[0]:
            return f"{column.rule}; correct the line"
    return ""


def _columnar_batches(
    file: InputFile, form: ColumnarFormat, columns: Sequence[TableColumn]
) -> Iterator[pa.RecordBatch]:
    row = 0
    with form.opened(file) as opened:
        names = [opened.schema.names[column.position] for column in columns]
        for piece in opened.read(0, len(opened.block_rows), list(dict.fromkeys(names)), _PIECE_ROWS):
            arrays = []
            for name, column in zip(names, columns, strict=True):
                values = piece.column(name)
                if column.role != "attributes" and values.null_count:
                    at = row + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0]) + 1
                    raise DataError(f'{file.name}, row {at}: column "{name}" ({column.role}) is null; give it a value')
                array = as_text(values, name, file) if column.kind == "string" else values.cast(column_type(column))
                if column.find_invalid is not None:
                    at = pc.index(column.find_invalid(array), True).as_py()
                    if at >= 0:
                        shown = shorten(str(array[at].as_py()))
                        raise DataError(
                            f'{file.name}, row {row + at + 1}: column "{name}" ({column.role}) has {shown!r}: '
                            f"{column.rule}; correct the row"
                        )
                arrays.append(array)
            row += piece.num_rows
            yield pa.RecordBatch.from_arrays(arrays, [f"c{column.position}" for column in columns])


def column_type(column: TableColumn) -> pa.DataType:
    """Return the Arrow type of a column."""
    return _ARROW_TYPE[column.kind]


def as_text(values: pa.Array, name: str, file: InputFile) -> pa.Array:
    """Convert a column of a columnar file to text: null to "", and the elements of a list joined by 0x1d.

    Raises:
        DataError: the type has no text.
    """
    try:
        if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            inner = as_text(values.flatten(), name, file)
            values = values if not values.null_count else values.fill_null(pa.scalar([], values.type))
            joined = pa.ListArray.from_arrays(
                pa.array(np.cumsum([0, *values.value_lengths().to_pylist()]), pa.int32()), inner
            )
            return pc.binary_join(joined, "\x1d").fill_null("")
        return values.cast(pa.string()).fill_null("")
    except pa.ArrowNotImplementedError:
        raise DataError(f'{file.name}: column "{name}" has the type {values.type}; write it as text') from None
