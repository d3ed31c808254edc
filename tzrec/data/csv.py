"""CsvReader: delimited text, block by block.

Cells are handed on as text. Features parse their own text, so one bad cell is one bad row and never a broken block;
what the text of the other columns means is settled in `text.py`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import pyarrow as pa
from pyarrow import csv as pacsv

from tzrec.data.paths import InputFile
from tzrec.data.reader import Piece, Reader, Spot, require
from tzrec.data.text_schema import declared_fields
from tzrec.errors import DataError
from tzrec.protos import data_pb2

BLOCK_BYTES = 4 << 20


class CsvReader(Reader):
    """Reads delimited text with a header, or with the names of data_config.input_fields in file order."""

    is_text = True

    def __init__(self, config: data_pb2.DataConfig, path: str, columns: Sequence[str] | None = None) -> None:
        self._declared = list(declared_fields(config))
        super().__init__(config, path, columns)
        self.schema = pa.schema([(name, pa.string()) for name in self.columns])
        self._starts: list[int] = []  # global number of the first row of every file opened so far
        self._malformed: list[list[int]] = []  # records of every file opened so far that were left out

    def _names(self, file: InputFile) -> Sequence[str]:
        if self.config.with_header:
            return next((record for _, record in self._records(file)), [])
        if not self._declared:
            raise DataError(
                f"{file.name}: nothing says what its columns are called; set data_config.with_header, "
                "or list all columns in file order in data_config.input_fields"
            )
        return self._declared

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
        left_out = self._malformed[-1]
        fatal: list[pacsv.InvalidRow] = []

        def refuse(row: pacsv.InvalidRow) -> str:  # called some blocks ahead of what is yielded
            if self.config.bad_row_policy == data_pb2.ERROR:
                fatal.append(row)
                return "error"
            left_out.append(row.number)
            self.malformed += 1
            return "skip"

        if self.config.with_header:
            require(self.columns, self._names(file), file)
        try:
            with self._stream(file, refuse) as stream:
                yield from stream
        except (pa.ArrowException, OSError) as error:
            if fatal:
                raise self._malformed_error(file, fatal[0]) from error
            raise DataError(f"{file.name}: cannot be read as CSV: {error}") from error

    def _stream(self, file: InputFile, refuse: Callable[[pacsv.InvalidRow], str]) -> pacsv.CSVStreamingReader:
        """Open one file; `refuse` decides about records with a wrong number of cells."""
        names = None if self.config.with_header else self._declared
        return pacsv.open_csv(
            file.filesystem.open_input_stream(file.path, compression="detect"),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names),
            parse_options=pacsv.ParseOptions(
                delimiter=self.config.delimiter, newlines_in_values=True, invalid_row_handler=refuse
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
            "to leave such lines out"
        )

    def _records(self, file: InputFile) -> Iterator[tuple[int, list[str]]]:
        """The line on which a record starts and its cells, for every record, empty lines left out."""
        with file.filesystem.open_input_stream(file.path, compression="detect") as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
            records = csv.reader(text, delimiter=self.config.delimiter)
            line = 1
            for record in records:
                if record:
                    yield line, record
                line = records.line_num + 1

    def spot(self, row: int) -> Spot:
        index = max(at for at, start in enumerate(self._starts) if start <= row)
        return Spot(self.files[index].name, row - self._starts[index] + 1)

    def describe(self, row: int) -> str:
        index = max(at for at, start in enumerate(self._starts) if start <= row)
        left_out = {*self._malformed[index], *([1] if self.config.with_header else [])}
        records = enumerate(self._records(self.files[index]), start=1)
        lines = (line for number, (line, _) in records if number not in left_out)
        return f"{self.files[index].name}, line {next(islice(lines, row - self._starts[index], None))}"
