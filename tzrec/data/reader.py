"""Reader: rows of many files, numbered over all of them, as RecordBatches in file order."""

from __future__ import annotations

import copy
import importlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.config.datasets import advice_for_unreadable, dataset_of_files
from tzrec.config.names import closest
from tzrec.data.bad_lines import BadLines
from tzrec.data.exchange import ALONE, Exchange
from tzrec.data.listing import FileListing, share_listing
from tzrec.data.paths import InputFile, expand
from tzrec.errors import DataError
from tzrec.formatting import shorten
from tzrec.protos import data_pb2

PIECE_ROWS = 32768
"""Rows that a reader yields at a time: many enough to amortize the cost per piece, few enough to bound memory."""

_NAMES_SHOWN = 40


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one file.

    Attributes:
        batch: the rows, with the requested columns.
        first: number of the first row over all files.
    """

    batch: pa.RecordBatch
    first: int


@dataclass(frozen=True)
class RowLocation:
    """Origin of a row: the file, and the number of the row among the data rows of the file, from 1."""

    file: str
    row: int


class Reader(ABC):
    """Reader of some columns of all files of a path.

    Attributes:
        files: the files in reading order.
        available: names of the columns of the first file, each once.
        repeated: names that several columns of the first file have; such columns cannot be read.
        columns: names of the columns read.
        schema: types of the columns.
        notes: differences between the files that do not prevent reading them.
        is_text: true if all columns are text, which features and loader parse.
        bad_lines: lines left out, for they hold no row.
    """

    is_text = False
    schema: pa.Schema
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        config: data_pb2.DataConfig,
        path: str,
        columns: Sequence[str] | None = None,
        exchange: Exchange = ALONE,
    ) -> None:
        """Open the files and select the columns.

        Args:
            config: describes the files.
            path: comma list of globs.
            columns: to read; None for all that have a name of their own.
            exchange: ranks that open the same path; the first one lists the files.

        Raises:
            DataError: no file, an unreadable one, a missing column, or one whose type is not the same in all files.
        """
        self.config = config
        self._listing = share_listing(exchange, lambda: self._list_files(path, exchange.advance))
        self.files = self._listing.files
        self.bad_lines = BadLines()
        self._available = list(self._open_files())
        self.available = tuple(dict.fromkeys(self._available))
        self.repeated = frozenset(name for name, count in Counter(self._available).items() if count > 1)
        self._choose(columns)

    def _list_files(self, path: str, advance: Callable[[], None]) -> FileListing:
        """List the files of a path, with what other ranks need not read again.

        Args:
            path: comma list of globs.
            advance: called now and then in a long listing.
        """
        return FileListing(expand(path))

    @property
    def table_versions(self) -> dict[str, str]:
        """Tables of a lake, each with the path that names the version which is read."""
        return {table.given: table.pinned for table in self._listing.tables}

    @property
    def folder_columns(self) -> frozenset[str]:
        """Columns that no file has, and the names of partition folders give."""
        return frozenset()

    def _choose(self, columns: Sequence[str] | None) -> None:
        """Set `columns` and `schema`."""
        names = [name for name in self.available if name not in self.repeated] if columns is None else columns
        self.columns = tuple(dict.fromkeys(names))
        require_columns(self.columns, self._available, self.files[0])

    def select(self, columns: Sequence[str]) -> Reader:
        """Create a reader of other columns of the same files, without opening them again.

        Raises:
            DataError: a missing column, or one whose type is not the same in all files.
        """
        reader = copy.copy(self)
        reader.bad_lines = BadLines()
        reader._choose(columns)
        return reader

    def for_file(self, index: int) -> Reader:
        """Create a reader of one of the files with the same columns and types; row numbers start with its first row."""
        reader = copy.copy(self)
        reader.files, reader.bad_lines = [self.files[index]], BadLines()
        reader._listing = FileListing(reader.files, tables=self._listing.tables)
        return reader

    def block_starts(self) -> npt.NDArray[np.int64] | None:
        """First row of every block over all files, and the number of rows `(blocks + 1,)`; None if unknown.

        A block is what can be read without reading another one, for example a row group. Blocks do not span files.
        """
        return None

    def make_index(self, exchange: Exchange = ALONE, num_threads: int = 1) -> None:  # noqa: B027
        """Find the blocks and the rows of the files where no metadata lists them; all ranks of `exchange` call it.

        Raises:
            DataError: the same on all ranks: a file cannot be read, or a line of text holds no row and the policy is
                ERROR.
        """

    @abstractmethod
    def _open_files(self) -> Sequence[str]:
        """Read the parts of the files that are needed before the first row; returns the columns of the first file."""

    @property
    def num_rows(self) -> int | None:
        """Rows of all files; None if unknown before reading."""
        return None

    def estimate_rows(self) -> float | None:
        """Return the rows of all files; where they are unknown, an estimate by what was read; None before that."""
        return self.num_rows

    @property
    def rows_by_file(self) -> Sequence[int] | None:
        """Rows of each file; None if unknown before reading."""
        return None

    @abstractmethod
    def count(self) -> int:
        """Count the rows of all files; reads them if necessary."""

    @abstractmethod
    def read(self, start: int = 0, stop: int | None = None, piece_rows: int = PIECE_ROWS) -> Iterator[Piece]:
        """Yield the rows of a range, in file order; only the blocks that overlap it are read.

        Args:
            start: number over all files of the first row.
            stop: number of the row after the last one; None for all rows.
            piece_rows: greatest number of rows of a piece.

        Raises:
            DataError: a file that cannot be read or whose columns differ from those of the first one.
        """

    @abstractmethod
    def locate(self, row: int) -> RowLocation:
        """Return the origin of a row that was read."""

    def describe(self, row: int) -> str:
        """Format the origin of a row; may read the file again for the line number."""
        location = self.locate(row)
        return f"{location.file}, row {location.row}"


def require_columns(columns: Sequence[str], available: Sequence[str], file: InputFile) -> None:
    """Raise an error for the columns that a file does not have, or has more than once.

    Raises:
        DataError: lists every missing column with the closest existing one, or the repeated ones.
    """
    counts = Counter(available)
    repeated = [f'{counts[name]} columns "{name}"' for name in columns if counts[name] > 1]
    if repeated:
        raise DataError(
            f"{file.name}: {' and '.join(repeated)}; rename or drop all but one where the file is written, "
            "or read another column"
        )
    missing = [name for name in columns if name not in counts]
    if not missing:
        return
    names = ", ".join(f'"{name}"{_suggestion(name, available)}' for name in missing)
    raise DataError(f"{file.name}: no column {names}. The file has: {_listed(available)}")


def _listed(names: Sequence[str]) -> str:
    """Format the columns of a file, and a hint where one name seems to hold them all."""
    shown = [shorten(name if name.isprintable() else repr(name)) for name in names[:_NAMES_SHOWN]]
    text = ", ".join([*shown, f"... ({len(names):,} in all)"] if len(names) > _NAMES_SHOWN else shown)
    is_one = len(names) == 1 and any(mark in names[0] for mark in ",\t;|:")
    return f"{text}. Is data_config.delimiter the one of this file?" if is_one else text


def _suggestion(name: str, available: Sequence[str]) -> str:
    match = closest(name, available)
    return f' (did you mean "{match}"?)' if match else ""


def reader_class(dataset_type: int) -> Any:
    """Return the class of a dataset type: `CsvDataset` is `tzrec.data.csv.CsvReader`."""
    kind = data_pb2.DatasetType.Name(dataset_type).removesuffix("Dataset")
    module = f"tzrec.data.{kind.lower()}"
    return getattr(importlib.import_module(module), f"{kind}Reader")


def open_reader(
    config: data_pb2.DataConfig, path: str, columns: Sequence[str] | None = None, exchange: Exchange = ALONE
) -> Reader:
    """Open a comma list of globs with the reader of data_config.dataset_type.

    Raises:
        DataError: the type is a warehouse or a stream and the path does not name files, or the files cannot be opened.
    """
    dataset, advice = config.dataset_type, advice_for_unreadable(config)
    if advice:
        files = dataset_of_files(path)
        if files is None:
            name = data_pb2.DatasetType.Name(dataset)
            raise DataError(f'"{path}": data_config.dataset_type {name} cannot be read; {advice}')
        dataset = files  # type: ignore[assignment]
    reader: Reader = reader_class(dataset)(config, path, columns, exchange)
    return reader
