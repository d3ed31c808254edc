"""Reader: rows of many files, numbered over all of them, as RecordBatches in file order."""

from __future__ import annotations

import copy
import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tzrec.config.names import closest
from tzrec.data.paths import InputFile, expand
from tzrec.errors import DataError
from tzrec.protos import data_pb2

PIECE_ROWS = 32768
"""Rows a reader hands on at a time: enough to make per-piece costs vanish, few enough to keep memory flat."""


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one file.

    Attributes:
        batch: the rows, only the columns asked for.
        first: number of the first row over all files.
    """

    batch: pa.RecordBatch
    first: int


@dataclass(frozen=True)
class Spot:
    """Where a row came from: the file, and the row's number among the data rows of the file, from 1."""

    file: str
    row: int


class Reader(ABC):
    """Reads some columns of all files of a path.

    Attributes:
        files: the files in reading order.
        columns: names of the columns read.
        schema: types of the columns as they are read.
        is_text: whether all columns come as text, which features and the loader have to understand.
        malformed: lines left out because they have the wrong number of cells.
    """

    is_text = False
    schema: pa.Schema

    def __init__(self, config: data_pb2.DataConfig, path: str, columns: Sequence[str] | None = None) -> None:
        """Look at the first file and choose the columns; None reads all.

        Raises:
            DataError: no file, an unreadable one, or a missing column.
        """
        self.config = config
        self.files = expand(path)
        self.malformed = 0
        self.available = tuple(self._names(self.files[0]))
        self.columns = self.available if columns is None else tuple(dict.fromkeys(columns))
        require(self.columns, self.available, self.files[0])

    def only(self, index: int) -> Reader:
        """A reader of one of the files, with the same columns and types; rows are numbered from its first one."""
        reader = copy.copy(self)
        reader.files, reader.malformed = [self.files[index]], 0
        return reader

    def starts(self) -> list[int]:
        """Rows of the first file from which reading can start without reading those before."""
        return [0]

    @abstractmethod
    def _names(self, file: InputFile) -> Sequence[str]:
        """Column names of a file."""

    @property
    def num_rows(self) -> int | None:
        """Rows of all files, None where only reading tells."""
        return None

    @abstractmethod
    def count(self) -> int:
        """Rows of all files, reading them if need be."""

    @abstractmethod
    def read(self, start: int = 0) -> Iterator[Piece]:
        """All rows from a global row number on, in file order.

        Raises:
            DataError: a file that cannot be read or whose columns differ from those of the first one.
        """

    @abstractmethod
    def spot(self, row: int) -> Spot:
        """Where a row that was read came from."""

    def describe(self, row: int) -> str:
        """The same in words; may look at the file again to be exact."""
        spot = self.spot(row)
        return f"{spot.file}, row {spot.row}"


def require(columns: Sequence[str], available: Sequence[str], file: InputFile) -> None:
    """Refuse columns that a file does not have, all of them at once.

    Raises:
        DataError: naming every missing column, and the nearest one there is.
    """
    missing = [name for name in columns if name not in available]
    if not missing:
        return
    named = ", ".join(f'"{name}"{_nearest(name, available)}' for name in missing)
    raise DataError(f"{file.name}: no column {named}. The file has: {', '.join(available)}")


def _nearest(name: str, available: Sequence[str]) -> str:
    near = closest(name, available)
    return f' (did you mean "{near}"?)' if near else ""


def reader_class(dataset_type: int) -> Any:
    """The class of a dataset type: `CsvDataset` is `tzrec.data.csv.CsvReader`.

    Raises:
        LookupError: there is none; `config.check` reports it before anything starts.
    """
    name = data_pb2.DatasetType.Name(dataset_type)
    kind = name.removesuffix("Dataset")
    module = f"tzrec.data.{kind.lower()}"
    if importlib.util.find_spec(module) is None:
        raise LookupError(f"data_config.dataset_type {name} has no implementation")
    return getattr(importlib.import_module(module), f"{kind}Reader")


def open_reader(config: data_pb2.DataConfig, path: str, columns: Sequence[str] | None = None) -> Reader:
    """The reader that data_config.dataset_type names, over a comma list of globs."""
    reader: Reader = reader_class(config.dataset_type)(config, path, columns)
    return reader
