"""CsvReader: delimited text, block by block.

Cells stay text. Features parse their own text, so that a bad cell is a bad row and not an unreadable block;
`text_schema.py` determines the types of labels, weights and reserved columns.

Arrow parses a block of whole lines. A block with as many rows as lines is what it seems to be: every quote closes on
its line. Any other block is scanned by `record_scan.py` before its rows count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
from pyarrow import csv as pacsv

from tzrec.data.bad_lines import BadLine
from tzrec.data.paths import InputFile
from tzrec.data.reader import PIECE_ROWS, Piece, Reader, RowLocation, require_columns
from tzrec.data.record_scan import RecordScan, find_records
from tzrec.data.text_file import (
    HEAD_BYTES,
    TextFile,
    TextSyntax,
    count_lines,
    first_lines,
    last_line,
    last_line_break,
    line_end,
)
from tzrec.data.text_schema import declared_fields
from tzrec.errors import DataError
from tzrec.protos import data_pb2

BLOCK_BYTES = 4 << 20
_HEADER_BYTES = 1 << 20
"""Longest header whose quoted cells may span lines."""
_REMOTE_HEADERS = 20
"""Files of a remote store whose headers are compared before reading; those of local files are compared all."""
_LINES_TO_COUNT = 100
"""Lines at the start of a file without a header that tell whether it has the labels."""


@dataclass(frozen=True)
class _Block:
    """Whole records of a file that were read together.

    Attributes:
        file: index of the file.
        first_row: number over all files of the first row.
        offset: of the first byte in the decompressed text.
        size: number of bytes.
        line: number of the first line.
        left_out: begins and ends of the records that hold no row.
    """

    file: int
    first_row: int
    offset: int
    size: int
    line: int
    left_out: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Layout:
    """Columns of one file.

    Attributes:
        num_cells: number of cells of a row.
        indices: of the columns to read.
        names: their names.
        names_line: the text of a line with the names of all columns.
    """

    num_cells: int
    indices: Sequence[int]
    names: Sequence[str]
    names_line: bytes

    def parse(self, text: pa.Buffer, syntax: TextSyntax, null_values: Sequence[str]) -> pa.RecordBatch:
        """Parse whole records; text is not validated.

        Raises:
            pa.ArrowInvalid, UnicodeDecodeError: a record has the wrong number of cells.
        """
        cells = [str(index) for index in self.indices]
        table = pacsv.read_csv(
            pa.BufferReader(text),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=text.size + 1, column_names=list(map(str, range(self.num_cells)))
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=syntax.delimiter, quote_char=syntax.quote or False, newlines_in_values=True
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(cells, pa.string()),
                include_columns=cells,
                strings_can_be_null=True,
                null_values=["", *null_values],
                check_utf8=False,  # a cell that is not UTF-8 is a bad cell, see `text_schema.valid_text`
            ),
        )
        arrays = [column.combine_chunks() for column in table.columns]
        return pa.RecordBatch.from_arrays(arrays, names=list(self.names))


class CsvReader(Reader):
    """Reader of delimited text with a header, or with the names of data_config.input_fields in file order."""

    is_text = True

    def __init__(self, config: data_pb2.DataConfig, path: str, columns: Sequence[str] | None = None) -> None:
        self._declared = list(declared_fields(config))
        self._syntax = TextSyntax.of(config)
        super().__init__(config, path, columns)
        self._blocks: list[_Block] = []  # of the files read so far; every pass reads the same

    def for_file(self, index: int) -> Reader:
        reader = super().for_file(index)
        assert isinstance(reader, CsvReader)
        reader._headers, reader._versions = self._headers[index : index + 1], [self._versions[index]]
        reader._blocks = []
        return reader

    def _open_files(self) -> Sequence[str]:
        """Read the headers; returns that of the first file that is not empty."""
        self._versions = [file.version() for file in self.files]
        self._headers = [
            self._names(file)
            for number, file in enumerate(self.files)
            if isinstance(file.filesystem, pafs.LocalFileSystem) or number < _REMOTE_HEADERS
        ]
        names = next(filter(None, self._headers), None)
        if names is None:
            raise DataError(f"{self.files[0].name}: {'the file is' if len(self.files) == 1 else 'all files are'} empty")
        return names

    def _names(self, file: InputFile) -> Sequence[str]:
        with TextFile(file, HEAD_BYTES) as text:
            return self._read_names(text)[0]

    def _read_names(self, text: TextFile) -> tuple[Sequence[str], bytes]:
        """Names of the cells of a file, none if it is empty, and the line that holds them; drops the header."""
        if self.config.with_header:
            header = self._take_header(text)
            return self._syntax.split(header), header
        if not self._declared:
            raise DataError(
                f"{text.file.name}: the names of its columns are unknown; set data_config.with_header, "
                "or list all columns in file order in data_config.input_fields"
            )
        names = self._names_without_labels(text) or self._declared
        return names, self._syntax.delimiter.join(names).encode()

    def _take_header(self, text: TextFile) -> bytes:
        """Take the first record that is not empty; b"" if there is none."""
        while True:
            begin = end = len(text.data) - len(text.data.lstrip(b"\r\n"))
            while end < min(len(text.data), begin + _HEADER_BYTES):
                end = line_end(text.data, end)
                header = text.data[begin:end].rstrip(b"\r\n")
                if (end < len(text.data) or text.is_last) and self._syntax.closes(header):
                    text.skip(end)
                    return header
            if text.is_last or len(text.data) > begin + _HEADER_BYTES:
                header = text.data[begin : line_end(text.data, begin)]  # a quote that never closes
                text.skip(begin + len(header))
                return header.rstrip(b"\r\n")
            text.fill()

    def _names_without_labels(self, text: TextFile) -> list[str]:
        """The declared names without the labels, if most lines have so many cells: rows to score need no labels."""
        lines = first_lines(text.data, 0, len(text.data), _LINES_TO_COUNT)
        count_by_cells = Counter(len(self._syntax.split(line)) for line in lines if line)
        most = count_by_cells.most_common(1)[0][0] if count_by_cells else 0
        labels, weights = self.config.label_fields, self.config.sample_weight_fields
        for targets in ([*labels], [*labels, *weights]):
            names = [name for name in self._declared if name not in targets]
            if len(names) == most < len(self._declared):
                return names
        return []

    def _choose(self, columns: Sequence[str] | None) -> None:
        super()._choose(columns)
        for file, names in zip(self.files, self._headers, strict=False):
            if names:
                require_columns(self.columns, names, file)
        self.schema = pa.schema([(name, pa.string()) for name in self.columns])
        self._blocks = []

    def count(self) -> int:
        return sum(piece.batch.num_rows for piece in self.read())

    def read(self, start: int = 0, stop: int | None = None, piece_rows: int = PIECE_ROWS) -> Iterator[Piece]:
        row = number = 0
        for index in range(len(self.files)):
            for block, batch in self._read_file(index, row):
                if number == len(self._blocks):
                    self._blocks.append(block)
                number += 1
                after = row + batch.num_rows
                end = after if stop is None else min(after, stop)
                for first in range(max(row, start), end, piece_rows):
                    yield Piece(batch.slice(first - row, min(piece_rows, end - first)), first)
                if end == stop:
                    return
                row = after

    def _read_file(self, index: int, row: int) -> Iterator[tuple[_Block, pa.RecordBatch]]:
        """Yield the blocks of a file that have rows; `row` is the number of its first row."""
        file = self.files[index]
        file.ensure_unchanged(self._versions[index])
        with TextFile(file, BLOCK_BYTES) as text:
            layout = self._layout(text)
            if not text.is_last:
                text.fill()
            while text.data or not text.is_last:
                end, batch, bad = self._parse(text, layout)
                for line in bad:
                    self._leave_out(line, file)
                if batch is not None and batch.num_rows:
                    left_out = tuple((line.begin, line.end) for line in bad)
                    yield _Block(index, row, text.offset, end, text.line, left_out), batch
                    row += batch.num_rows
                text.skip(end)
                if not text.is_last:
                    text.fill()
        file.ensure_unchanged(self._versions[index])

    def _layout(self, text: TextFile) -> _Layout:
        names, line = self._read_names(text)
        if names:
            require_columns(self.columns, names, text.file)
        indices = [names.index(name) for name in self.columns if name in names]
        return _Layout(len(names), indices, self.columns, line)

    def _parse(self, text: TextFile, layout: _Layout) -> tuple[int, pa.RecordBatch | None, Sequence[BadLine]]:
        """Parse the whole records of `text.data`: their size, the rows, and the lines that hold no row."""
        end = len(text.data) if text.is_last else last_line_break(text.data)
        batch = self._parse_plain(text, end, layout) if end else None
        if batch is not None or not end:
            return end, batch, ()
        null_values = list(self.config.null_values)
        scan = RecordScan(
            text.data, text.is_last, text.line, self._syntax, layout.num_cells, layout.names_line, null_values
        )
        scan.run()
        kept = scan.kept()
        if not kept.strip(b"\r\n"):
            return scan.end, None, scan.bad
        try:
            return scan.end, layout.parse(pa.py_buffer(kept), self._syntax, null_values), scan.bad
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise DataError(f"{text.file.name}, from line {text.line} on: cannot be read as CSV: {error}") from error

    def _parse_plain(self, text: TextFile, end: int, layout: _Layout) -> pa.RecordBatch | None:
        """Parse records of one line each; None if the lines need a closer look."""
        data = text.data
        try:
            batch = layout.parse(pa.py_buffer(data).slice(0, end), self._syntax, list(self.config.null_values))
        except (pa.ArrowInvalid, UnicodeDecodeError):
            return None
        if batch.num_columns and pc.index(batch.column(0), batch.schema.names[0]).as_py() >= 0:
            return None  # a line with the names of the columns
        num_lines = text.count_lines(end) + (data[end - 1] not in b"\r\n")
        return batch if batch.num_rows == num_lines and self._syntax.closes(last_line(data, end)) else None

    def _leave_out(self, line: BadLine, file: InputFile) -> None:
        """Count a line that holds no row.

        Raises:
            DataError: the policy is ERROR.
        """
        if self.config.bad_row_policy == data_pb2.ERROR:
            raise line.error(file.name)
        self.bad_lines.add(file.name, line)

    def _block(self, row: int) -> _Block:
        return self._blocks[bisect_right(self._blocks, row, key=lambda block: block.first_row) - 1]

    def _first_row(self, file: int) -> int:
        return next(block.first_row for block in self._blocks if block.file == file)

    def locate(self, row: int) -> RowLocation:
        file = self._block(row).file
        return RowLocation(self.files[file].name, row - self._first_row(file) + 1)

    def describe(self, row: int) -> str:
        block = self._block(row)
        try:
            return f"{self.files[block.file].name}, line {self._line(block, row - block.first_row):d}"
        except DataError:  # the file has changed
            return super().describe(row)

    def _line(self, block: _Block, row: int) -> int:
        """Number of the line of a row of a block; reads the file up to the block."""
        self.files[block.file].ensure_unchanged(self._versions[block.file])
        with TextFile(self.files[block.file], BLOCK_BYTES) as text:
            while text.offset + len(text.data) < block.offset + block.size:
                text.skip_uncounted(max(0, min(len(text.data), block.offset - text.offset)))
                text.fill()
            text.skip_uncounted(block.offset - text.offset)
            starts, _, _ = find_records(text.data[: block.size], self._syntax, block.left_out)
            return block.line + count_lines(text.data, int(starts[row]))
