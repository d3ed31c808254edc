"""IcebergReader: Iceberg tables, `catalog.namespace.table@SNAPSHOT`, or a metadata file without a catalog.

Catalogs are configured for pyiceberg, in .pyiceberg.yaml or in environment variables.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tzrec.data.lake import LakeReader, TablePath, deleted_rows, table_version, unknown_version
from tzrec.data.listing import TableVersion
from tzrec.data.paths import InputFile, filesystem
from tzrec.errors import DataError, SetupError, first_line
from tzrec.storage.url import without_file_scheme

_PARQUET = "PARQUET"


class IcebergReader(LakeReader):
    """Reader of Iceberg tables at a snapshot."""

    def _resolve(self, path: TablePath) -> tuple[TableVersion, list[InputFile]]:
        table = _load(path.table)
        snapshot = _snapshot_id(table, path)
        scan = table.scan(snapshot_id=snapshot)
        try:
            tasks = list(scan.plan_files()) if snapshot is not None else []
        except Exception as error:  # of many classes, of pyiceberg and of the store
            raise DataError(f'"{path.table}" cannot be read: {first_line(error)}') from error
        num_deleting = sum(bool(task.delete_files) for task in tasks)
        if num_deleting:
            fix = "rewrite them, e.g. by the Spark procedure rewrite_data_files, or write with copy-on-write"
            raise deleted_rows(path.table, num_deleting, fix)
        files = sorted((_data_file(table, task.file) for task in tasks), key=lambda file: file.name)
        return table_version(path.table, str(snapshot), files, _schema(scan.projection())), files


def _load(name: str) -> Any:
    """Load a table from its catalog, or from a metadata file.

    Raises:
        DataError: there is no such table.
        SetupError: pyiceberg is not installed.
    """
    try:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.table import StaticTable
    except ImportError:
        raise SetupError("IcebergDataset needs the package pyiceberg: pip install 'tzrec[iceberg]'") from None
    catalog, _, table = name.partition(".")
    is_file = "/" in name
    if not is_file and "." not in table:
        raise DataError(
            f'"{name}" is not an Iceberg table: write catalog.namespace.table, or the path of a metadata.json file'
        )
    try:
        if is_file:
            return StaticTable.from_metadata(without_file_scheme(name))
        return load_catalog(catalog).load_table(table)
    except Exception as error:  # of many classes, of pyiceberg and of the store
        configured = f". Catalogs are configured in .pyiceberg.yaml or by PYICEBERG_CATALOG__{catalog.upper()}__URI"
        hint = "" if is_file else configured
        raise DataError(f'"{name}" cannot be read as an Iceberg table: {first_line(error)}{hint}') from error


def _snapshot_id(table: Any, path: TablePath) -> int | None:
    """Find the snapshot of a path; None of a table without any."""
    if not path.version:
        current = table.current_snapshot()
        return None if current is None else int(current.snapshot_id)
    if path.time:
        snapshot = table.snapshot_as_of_timestamp(int(path.time.timestamp() * 1000))
        if snapshot is None:
            raise unknown_version(path, "the table did not exist at this time")
    elif path.version.isdigit():
        snapshot = table.snapshot_by_id(int(path.version))
        if snapshot is None:
            known = ", ".join(str(item.snapshot_id) for item in table.snapshots()[-5:])
            raise unknown_version(path, f"its last snapshots are {known}")
    else:
        raise unknown_version(path, "write @ and the id of a snapshot, or @2024-01-01T00:00:00Z for a time")
    return int(snapshot.snapshot_id)


def _schema(schema: Any) -> pa.Schema:
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    return schema_to_pyarrow(schema)


def _data_file(table: Any, file: Any) -> InputFile:
    """Create the input file of a data file; columns that are partitioned by their value may lack in the file."""
    if file.file_format.name != _PARQUET:
        raise DataError(f"{file.file_path}: is a data file in the format {file.file_format.name}; only Parquet is read")
    spec = table.specs()[file.spec_id]
    values = {
        table.schema().find_column_name(field.source_id): file.partition[position]
        for position, field in enumerate(spec.fields)
        if str(field.transform) == "identity"
    }
    name = without_file_scheme(file.file_path)
    store, inner = filesystem(name)
    texts = ((str(key), None if value is None else str(value)) for key, value in values.items() if key)
    return InputFile(store, inner, name, tuple(texts))
