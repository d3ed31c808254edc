"""DeltaReader: Delta Lake tables, `/data/clicks@v3`, `s3://bucket/clicks@2024-01-01T00:00:00Z` or without a version."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from tzrec.data.lake import LakeReader, TablePath, deleted_rows, table_version, unknown_version
from tzrec.data.listing import TableVersion
from tzrec.data.paths import InputFile, filesystem
from tzrec.errors import DataError, SetupError, first_line
from tzrec.storage.url import without_file_scheme

_PARTITION = "partition."
_COLUMN_MAPPING = "delta.columnMapping.mode"


class DeltaReader(LakeReader):
    """Reader of Delta Lake tables at a version."""

    def _resolve(self, path: TablePath) -> tuple[TableVersion, list[InputFile]]:
        table = _load(path)
        root = without_file_scheme(path.table).rstrip("/")
        mapping = table.metadata().configuration.get(_COLUMN_MAPPING, "none")
        if mapping != "none":
            raise DataError(f'"{path.table}": column mapping "{mapping}" is not supported; write the table without it')
        num_deleting = _num_vectors(table)
        if num_deleting:
            fix = "apply the deletions to the files, e.g. REORG TABLE ... APPLY (PURGE)"
            raise deleted_rows(path.table, num_deleting, fix)
        actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
        files = [_data_file(root, action) for action in sorted(actions, key=lambda action: action["path"])]
        schema = pa.schema(table.schema().to_arrow())
        return table_version(path.table, f"v{table.version()}", files, schema), files


def _load(path: TablePath) -> Any:
    """Open a table at the version of a path.

    Raises:
        DataError: there is no such table or version.
        SetupError: deltalake is not installed.
    """
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError:
        raise SetupError("DeltaDataset needs the package deltalake: pip install 'tzrec[delta]'") from None
    number = re.fullmatch(r"v(\d+)", path.version)
    if path.version and not (number or path.time):
        raise unknown_version(path, "write @v3 for a version, or @2024-01-01T00:00:00Z for a time")
    try:
        table = DeltaTable(path.table, version=int(number[1]) if number else None)
        if path.time:
            table.load_as_version(path.time)
    except DeltaError as error:
        if path.version and DeltaTable.is_deltatable(path.table):
            raise unknown_version(path, first_line(error)) from error
        raise DataError(f'"{path.table}" cannot be read as a Delta table: {first_line(error)}') from error
    return table


def _num_vectors(table: Any) -> int:
    """Number of data files some of whose rows are deleted by a vector."""
    if "deletionVectors" not in (table.protocol().reader_features or ()):
        return 0
    return sum(len(batch) for batch in pa.RecordBatchReader.from_stream(table.deletion_vectors()))


def _data_file(root: str, action: dict[str, Any]) -> InputFile:
    """Create the input file of an action of the log, whose path is relative to the table or a URL."""
    relative = unquote(action["path"])
    name = without_file_scheme(relative if "://" in relative else f"{root}/{relative}")
    store, inner = filesystem(name)
    pairs = {key.removeprefix(_PARTITION): value for key, value in action.items() if key.startswith(_PARTITION)}
    texts = ((key, None if value is None else str(value)) for key, value in pairs.items())
    return InputFile(store, inner, name, tuple(texts))
