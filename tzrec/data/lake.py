"""LakeReader: tables of a lake at a version: the table lists its data files, and these are read like other files."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import pyarrow as pa

from tzrec.config.comma_list import split_commas
from tzrec.data.columnar import ColumnarReader
from tzrec.data.footers import Footer, read_footers
from tzrec.data.hive import cast_partition
from tzrec.data.listing import FileListing, TableVersion
from tzrec.data.parquet import ParquetFormat
from tzrec.data.paths import InputFile
from tzrec.data.table_file import TableFile
from tzrec.errors import DataError
from tzrec.log import logger

FIELD_ID = b"PARQUET:field_id"
"""Metadata of a field of an Arrow schema: the number by which a table identifies it."""

_VERSION = re.compile(r"(?P<table>.+)@(?P<version>[^@/]+)", re.DOTALL)


@dataclass(frozen=True)
class TablePath:
    """A table of an input path, and the version that the path asks for.

    Attributes:
        table: without the version.
        version: as given; "" for the newest.
        time: the version as a time, if it is one.
    """

    table: str
    version: str
    time: datetime | None

    @classmethod
    def parse(cls, item: str) -> TablePath:
        """Split `table@version`; the version follows the last slash, as a URL can contain an @."""
        match = _VERSION.fullmatch(item)
        if match is None:
            return cls(item, "", None)
        return cls(match["table"], match["version"], _parse_time(match["version"]))


def _parse_time(text: str) -> datetime | None:
    """Parse a time in the format of ISO 8601, in UTC unless it says otherwise; None if it is none."""
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        time = datetime.fromisoformat(text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else ""))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


class LakeReader(ColumnarReader):
    """Reader of the data files of tables at a version. Columns have the types of the table.

    A column that a file lacks is the value of its partition, or null: it was added after the file was written.
    """

    file_format = ParquetFormat()

    @abstractmethod
    def _resolve(self, path: TablePath) -> tuple[TableVersion, list[InputFile]]:
        """Find the version of a table and its data files.

        Raises:
            DataError: there is no such table or version, or it has rows that are deleted by other files.
            SetupError: the package that reads such tables is not installed.
        """

    def _list_files(self, path: str, advance: Callable[[], None]) -> FileListing:
        tables, files = [], []
        for item in split_commas(path):
            table, table_files = self._resolve(TablePath.parse(item))
            logger.info("data   %s (%d files)", table.pinned, table.num_files)
            tables.append(table)
            files += table_files
        if not files:
            raise DataError(f'"{path}": {"the table has no rows" if tables else "the input path is empty"}')
        return FileListing(files, read_footers(files, self.file_format, advance), tables)

    def _table_files(self) -> list[TableFile]:
        schemas = [table.schema for table in self._listing.tables for _ in range(table.num_files)]
        layouts: dict[tuple[int, int], dict[str, str]] = {}
        tables = []
        for file, footer, schema in zip(self.files, self._listing.footers, schemas, strict=True):
            key = id(footer.schema), id(schema)
            if key not in layouts:
                layouts[key] = _stored_names(footer, schema)
            values = dict(file.partitions)
            constants = {
                field.name: cast_partition(field.name, values.get(field.name), field.type, file.name)
                for field in schema
                if field.name not in layouts[key]
            }
            tables.append(TableFile(file, footer, schema, constants, layouts[key]))
        return tables


def _stored_names(footer: Footer, schema: pa.Schema) -> dict[str, str]:
    """Map the columns of a table that a file has to their names in it: by field id if the file has ids."""
    name_by_id = {(field.metadata or {}).get(FIELD_ID): field.name for field in footer.schema}
    has_ids = {*name_by_id} != {None} and any((field.metadata or {}).get(FIELD_ID) for field in schema)
    if not has_ids:
        return {name: name for name in schema.names if name in footer.schema.names}
    ids = {field.name: (field.metadata or {}).get(FIELD_ID) for field in schema}
    return {name: name_by_id[number] for name, number in ids.items() if number in name_by_id}


def unknown_version(path: TablePath, reason: str) -> DataError:
    """Create the error of a version that a table does not have."""
    return DataError(f'"{path.table}" has no version "{path.version}": {reason}')


def deleted_rows(table: str, num_files: int, fix: str) -> DataError:
    """Create the error of a table whose deleted rows are still in its data files."""
    return DataError(
        f'"{table}": rows of {num_files:,} data files are deleted by other files, which are not read; {fix}'
    )


def table_version(given: str, version: str, files: Sequence[InputFile], schema: pa.Schema) -> TableVersion:
    """Describe a version of a table."""
    return TableVersion(given, f"{given}@{version}", len(files), schema)
