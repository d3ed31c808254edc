"""CsvReader: delimited text, chunk by chunk, or the blocks of an index.

Cells stay text. Features parse their own text, so that a bad cell is a bad row and not an unreadable chunk;
`text_schema.py` determines the types of labels, weights and reserved columns.

Arrow parses whole lines. If they have as many rows as lines, they are what they seem to be: every quote closes on its
line. Any other lines are scanned by `record_scan.py` before their rows count. Once there is an index, rows are known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
from pyarrow import csv as pacsv

from tzrec.data.bad_lines import BadLine
from tzrec.data.exchange import ALONE, Exchange
from tzrec.data.paths import InputFile
from tzrec.data.reader import PIECE_ROWS, Piece, Reader, RowLocation, require_columns
from tzrec.data.record_scan import find_records
from tzrec.data.text_chunk import CHUNK_BYTES, ChunkFormat, without
from tzrec.data.text_file import HEAD_BYTES, TextFile, TextSpans, TextSyntax, count_lines, last_line
from tzrec.data.text_header import HeaderReader
from tzrec.data.text_index import FileIndex, TextIndexer
from tzrec.errors import DataError
from tzrec.protos import data_pb2

_REMOTE_HEADERS = 20
"""Files of a remote store whose headers are compared before reading; those of local files are compared all."""


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
    left_out: Sequence[tuple[int, int]]


class _CellParser:
    """Parser of the cells of some columns.

    Cells are not validated: one that is not UTF-8 is a bad cell, see `text_schema.valid_text`.
    """

    def __init__(self, config: data_pb2.DataConfig, names: Sequence[str], columns: Sequence[str]) -> None:
        """Prepare parsing.

        Args:
            config: delimiter, quote and words for missing values.
            names: of all cells of a row.
            columns: to read.
        """
        syntax = TextSyntax.of(config)
        cells = [str(names.index(name)) for name in columns if name in names]
        self._columns = list(columns)
        self._names = list(map(str, range(len(names))))
        self._parse_options = pacsv.ParseOptions(
            delimiter=syntax.delimiter, quote_char=syntax.quote or False, newlines_in_values=True
        )
        self._convert_options = pacsv.ConvertOptions(
            column_types=dict.fromkeys(cells, pa.string()),
            include_columns=cells,
            strings_can_be_null=True,
            null_values=["", *config.null_values],
            check_utf8=False,
        )

    def parse(self, text: pa.Buffer) -> pa.RecordBatch:
        """Parse whole records.

        Raises:
            pa.ArrowInvalid, UnicodeDecodeError: a record has the wrong number of cells.
        """
        options = pacsv.ReadOptions(use_threads=False, block_size=text.size + 1, column_names=self._names)
        table = pacsv.read_csv(pa.BufferReader(text), options, self._parse_options, self._convert_options)
        arrays = [column.combine_chunks() for column in table.columns]
        return pa.RecordBatch.from_arrays(arrays, names=self._columns)


class CsvReader(Reader):
    """Reader of delimited text with a header, or with the names of data_config.input_fields in file order."""

    is_text = True

    def __init__(
        self,
        config: data_pb2.DataConfig,
        path: str,
        columns: Sequence[str] | None = None,
        exchange: Exchange = ALONE,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """Open the files; `chunk_bytes` is the distance between the bounds of the parts that are read at once."""
        self._header_reader, self._syntax, self._chunk_bytes = HeaderReader(config), TextSyntax.of(config), chunk_bytes
        self._indexes: list[FileIndex] | None = None
        super().__init__(config, path, columns, exchange)
        self._blocks: list[_Block] = []  # of the files read so far, without an index; every pass reads the same

    def for_file(self, index: int) -> Reader:
        reader = super().for_file(index)
        assert isinstance(reader, CsvReader)
        reader._headers, reader._versions = self._headers[index : index + 1], [self._versions[index]]
        reader._blocks = []
        if self._indexes is not None:
            reader._set_indexes([self._indexes[index]])
        return reader

    def _open_files(self) -> Sequence[str]:
        """Read the headers; returns that of the first file that is not empty."""
        self._versions = [file.version() for file in self.files]
        self._rows_per_byte = 0.0
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
            return self._header_reader.read(text).names

    def _choose(self, columns: Sequence[str] | None) -> None:
        super()._choose(columns)
        self._require_columns()
        self.schema = pa.schema([(name, pa.string()) for name in self.columns])
        self._blocks = []
        if self._indexes is not None:
            self._set_indexes(self._indexes)

    def _require_columns(self) -> None:
        for file, names in zip(self.files, self._headers, strict=False):
            if names:
                require_columns(self.columns, names, file)

    def make_index(self, exchange: Exchange = ALONE, num_threads: int = 1, block_bytes: int | None = None) -> None:
        indexer = TextIndexer(self.config, self.files, self._versions, self._chunk_bytes, block_bytes)
        self._set_indexes(indexer.run(exchange, num_threads))
        self._require_columns()

    def _set_indexes(self, indexes: list[FileIndex]) -> None:
        """Use the indexes of all files."""
        self._indexes, self._headers = indexes, [index.names for index in indexes]
        self._starts = np.cumsum([0, *(index.num_rows for index in indexes)])
        self.bad_lines.clear()
        for file, index in zip(self.files, indexes, strict=True):
            self.bad_lines.extend(file.name, index.bad_counts, index.bad_sample)

    @property
    def num_rows(self) -> int | None:
        return None if self._indexes is None else int(self._starts[-1])

    def estimate_rows(self) -> float | None:
        size = sum(version.size for version in self._versions)
        return self._rows_per_byte * size or None if self._indexes is None else self.num_rows

    @property
    def rows_by_file(self) -> list[int] | None:
        return None if self._indexes is None else [index.num_rows for index in self._indexes]

    def block_starts(self) -> npt.NDArray[np.int64] | None:
        if self._indexes is None:
            return None
        starts = [index.block_starts() + start for index, start in zip(self._indexes, self._starts[:-1], strict=True)]
        return np.concatenate([*starts, self._starts[-1:]])

    def count(self) -> int:
        return sum(piece.batch.num_rows for piece in self.read()) if self.num_rows is None else self.num_rows

    def read(self, start: int = 0, stop: int | None = None, piece_rows: int = PIECE_ROWS) -> Iterator[Piece]:
        batches = self._read_in_sequence() if self._indexes is None else self._read_blocks(start, stop, piece_rows)
        for row, batch in batches:
            after = row + batch.num_rows
            end = after if stop is None else min(after, stop)
            for first in range(max(row, start), end, piece_rows):
                yield Piece(batch.slice(first - row, min(piece_rows, end - first)), first)
            if end == stop:
                return

    def _read_in_sequence(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the rows of all files with the number of the first one."""
        row = number = 0
        for index in range(len(self.files)):
            for block, batch in self._read_file(index, row):
                if number == len(self._blocks):
                    self._blocks.append(block)
                number += 1
                yield row, batch
                row += batch.num_rows

    def _read_file(self, index: int, row: int) -> Iterator[tuple[_Block, pa.RecordBatch]]:
        """Yield the chunks of a file that have rows; `row` is the number of its first row."""
        file = self.files[index]
        file.ensure_unchanged(self._versions[index])
        with TextFile(file, CHUNK_BYTES) as text:
            header = self._header_reader.read(text)
            if header.names:
                require_columns(self.columns, header.names, file)
            parser = _CellParser(self.config, header.names, self.columns)
            chunks = ChunkFormat(header, self._syntax, list(self.config.null_values), self._chunk_bytes)
            rows_before = row
            while (chunk := chunks.next_chunk(text, lambda end: self._parse_plain(text, end, parser))).end:
                for line in chunk.bad:
                    self._leave_out(line, file)
                batch = chunk.plain
                rows = b"" if batch else without(text.data[: chunk.end], chunk.left_out)
                if rows.strip(b"\r\n"):
                    batch = self._parse(rows, parser, file, text.line)
                if batch and batch.num_rows:
                    num_bytes = text.stored_bytes_read if text.is_compressed else text.offset + chunk.end
                    self._rows_per_byte = (row + batch.num_rows - rows_before) / num_bytes
                    yield _Block(index, row, text.offset, chunk.end, text.line, chunk.left_out), batch
                    row += batch.num_rows
                text.skip(chunk.end)
        file.ensure_unchanged(self._versions[index])

    def _read_blocks(self, start: int, stop: int | None, piece_rows: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the rows of the blocks that overlap a range, with the number of the first one."""
        assert self._indexes is not None
        end = self._starts[-1] if stop is None else min(stop, self._starts[-1])
        for file in range(bisect_right(self._starts, start) - 1, len(self.files)):
            base, after = self._starts[file : file + 2].tolist()
            if base >= end:
                return
            if max(base, start) < after:
                for row, batch in self._read_spans(file, max(base, start) - base, min(after, end) - base, piece_rows):
                    yield base + row, batch

    def _read_spans(self, file: int, start: int, stop: int, piece_rows: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the rows of the blocks of a file that overlap a range, with the number of the first one in the file."""
        assert self._indexes is not None
        index = self._indexes[file]
        parser = _CellParser(self.config, index.names, self.columns)
        self.files[file].ensure_unchanged(self._versions[file])
        with TextSpans(self.files[file], not index.is_compressed) as text:
            for first, after in index.spans(start, stop, piece_rows):
                offset, end = index.offsets[[first, after]].tolist()
                rows = without(text.read(offset, end - offset), index.left_out_between(offset, end))
                batch = self._parse(rows, parser, self.files[file], int(index.lines[first]))
                if batch.num_rows != index.rows[after] - index.rows[first]:
                    self.files[file].ensure_unchanged(self._versions[file])
                    raise DataError(
                        f"{self.files[file].name}, from line {index.lines[first]} on: {batch.num_rows:,} rows where "
                        f"there were {index.rows[after] - index.rows[first]:,} before"
                    )
                yield int(index.rows[first]), batch
        self.files[file].ensure_unchanged(self._versions[file])

    def _parse(self, rows: bytes, parser: _CellParser, file: InputFile, line: int) -> pa.RecordBatch:
        """Parse whole records, of which the first one begins with a line.

        Raises:
            DataError: Arrow cannot read them.
        """
        try:
            return parser.parse(pa.py_buffer(rows))
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise DataError(f"{file.name}, from line {line} on: cannot be read as CSV: {error}") from error

    def _parse_plain(self, text: TextFile, end: int, parser: _CellParser) -> pa.RecordBatch | None:
        """Parse records of one line each; None if the lines need a closer look."""
        data = text.data
        try:
            batch = parser.parse(pa.py_buffer(data).slice(0, end))
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
        """Return the block of a row that was read, or of any row of an index."""
        if self._indexes is None:
            return self._blocks[bisect_right(self._blocks, row, key=lambda block: block.first_row) - 1]
        file = bisect_right(self._starts, row) - 1
        base, index = int(self._starts[file]), self._indexes[file]
        block = bisect_right(index.rows, row - base) - 1
        offset, end = index.offsets[[block, block + 1]].tolist()
        left_out = index.left_out_between(offset, end)
        return _Block(file, base + int(index.rows[block]), offset, end - offset, int(index.lines[block]), left_out)

    def _first_row(self, file: int) -> int:
        if self._indexes is not None:
            return int(self._starts[file])
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
        """Number of the line of a row of a block; reads the block, and what is before it in a compressed file."""
        self.files[block.file].ensure_unchanged(self._versions[block.file])
        with TextSpans(self.files[block.file]) as text:
            data = text.read(block.offset, block.size)
        starts, _, _ = find_records(data, self._syntax, block.left_out)
        return block.line + count_lines(data, int(starts[row]))
