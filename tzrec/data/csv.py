"""CsvReader: delimited text, block by block.

Cells stay text. Features parse their own text, so that a bad cell is a bad row and not an unreadable block;
`text_schema.py` determines the types of labels, weights and reserved columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import pyarrow as pa
from pyarrow import csv as pacsv

from tzrec.data.paths import InputFile
from tzrec.data.reader import Piece, Reader, RowLocation, require_columns
from tzrec.data.text_schema import declared_fields
from tzrec.errors import DataError
from tzrec.protos import data_pb2

BLOCK_BYTES = 4 << 20


class CsvReader(Reader):
    """Reader of delimited text with a header, or with the names of data_config.input_fields in file order."""

    is_text = True

    def __init__(self, config: data_pb2.DataConfig, path: str, columns: Sequence[str] | None = None) -> None:
        self._declared = list(declared_fields(config))
        super().__init__(config, path, columns)
        self._starts: list[int] = []  # per opened file, the number over all files of its first row
        self._malformed: list[list[int]] = []  # per opened file, the numbers of skipped records

    def _open_files(self) -> Sequence[str]:
        return self._names(self.files[0])

    def _names(self, file: InputFile) -> Sequence[str]:
        if self.config.with_header:
            return next((record for _, record in self._records(file)), [])
        if not self._declared:
            raise DataError(
                f"{file.name}: the names of its columns are unknown; set data_config.with_header, "
                "or list all columns in file order in data_config.input_fields"
            )
        return self._declared

    def _choose(self, columns: Sequence[str] | None) -> None:
        super()._choose(columns)
        self.schema = pa.schema([(name, pa.string()) for name in self.columns])

    def count(self) -> int:
        return sum(piece.batch.num_rows for piece in self.read())

    def read(self, start: int = 0) -> Iterator[Piece]:
        row = 0
        self._starts, self._malformed = [], []
        for file in self.files:
            self._starts.append(row)
            self._malformed.append([])
            for batch in self._read_file(file):
                after = row + batch.num_rows
                if after > start:
                    skip = max(0, start - row)
                    yield Piece(batch.slice(skip), row + skip)
                row = after

    def _read_file(self, file: InputFile) -> Iterator[pa.RecordBatch]:
        skipped = self._malformed[-1]
        fatal: list[pacsv.InvalidRow] = []

        def on_malformed(row: pacsv.InvalidRow) -> str:  # called some blocks before they are yielded
            if self.config.bad_row_policy == data_pb2.ERROR:
                fatal.append(row)
                return "error"
            skipped.append(row.number)
            self.malformed += 1
            return "skip"

        if self.config.with_header:
            require_columns(self.columns, self._names(file), file)
        try:
            with self._stream(file, on_malformed) as stream:
                yield from stream
        except (pa.ArrowException, OSError) as error:
            if fatal:
                raise self._malformed_error(file, fatal[0]) from error
            raise DataError(f"{file.name}: cannot be read as CSV: {error}") from error

    def _stream(self, file: InputFile, on_malformed: Callable[[pacsv.InvalidRow], str]) -> pacsv.CSVStreamingReader:
        """Open one file; `on_malformed` returns "error" or "skip" for records with a wrong number of cells."""
        names = None if self.config.with_header else self._declared
        return pacsv.open_csv(
            file.filesystem.open_input_stream(file.path, compression="detect"),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names),
            parse_options=pacsv.ParseOptions(
                delimiter=self.config.delimiter, newlines_in_values=True, invalid_row_handler=on_malformed
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(self.columns, pa.string()),
                include_columns=list(self.columns),
                strings_can_be_null=True,
                null_values=["", *self.config.null_values],
            ),
        )

    def _malformed_error(self, file: InputFile, row: pacsv.InvalidRow) -> DataError:
        line = next(line for number, (line, _) in enumerate(self._records(file), start=1) if number == row.number)
        return DataError(
            f"{file.name}, line {line}: {row.actual_columns} cells where {row.expected_columns} are expected: "
            f"{row.text!r}. Correct the line or data_config.delimiter, or set data_config.bad_row_policy to SKIP_ROW "
            "to skip such lines"
        )

    def _records(self, file: InputFile) -> Iterator[tuple[int, list[str]]]:
        """Yield the line number at which a record starts, and its cells, for every record; empty lines are skipped."""
        with file.filesystem.open_input_stream(file.path, compression="detect") as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
            records = csv.reader(text, delimiter=self.config.delimiter)
            line = 1
            for record in records:
                if record:
                    yield line, record
                line = records.line_num + 1

    def locate(self, row: int) -> RowLocation:
        index = max(i for i, start in enumerate(self._starts) if start <= row)
        return RowLocation(self.files[index].name, row - self._starts[index] + 1)

    def describe(self, row: int) -> str:
        index = max(i for i, start in enumerate(self._starts) if start <= row)
        skipped = {*self._malformed[index], *([1] if self.config.with_header else [])}
        records = enumerate(self._records(self.files[index]), start=1)
        lines = (line for number, (line, _) in records if number not in skipped)
        return f"{self.files[index].name}, line {next(islice(lines, row - self._starts[index], None))}"
