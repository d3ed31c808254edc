"""Writing of a table into a feature store."""

from __future__ import annotations

import pyarrow as pa

from tzrec.data.reader import Reader
from tzrec.data.row_progress import ReadProgress
from tzrec.errors import DataError
from tzrec.log import logger
from tzrec.retrieval.table import open_table
from tzrec.server.stores.keys import to_keys
from tzrec.server.stores.packed_store import PackedStore


def write_table(store: PackedStore, path: str, reader_type: str | None = None) -> int:
    """Write the rows of a table into a store; those of the same keys are replaced, others stay.

    Args:
        store: to write to.
        path: comma list of files, folders and globs.
        reader_type: one of READERS; None to choose by the extension of the first file.

    Returns:
        the number of rows that were written.

    Raises:
        DataError: the files cannot be read, or lack a column of the config.
        StoreError: the store does not take the rows.
    """
    key = store.config.key
    reader = open_table(path, None, reader_type)
    names = _packable(store, reader.select([key, *store.selected(reader.available)]))
    reader = reader.select([key, *names])
    num_rows = 0
    for piece in ReadProgress("materialize", reader).watch(reader.read()):
        keys = to_keys(piece.batch[key], key)
        store.write(keys, piece.batch.select(names))
        num_rows += len(keys) - keys.null_count
    return num_rows


def _packable(store: PackedStore, reader: Reader) -> list[str]:
    """Columns to write: those that features can read.

    Raises:
        DataError: the config lists a column that no feature can read, or there are none to write.
    """
    names = [name for name in reader.columns if name != store.config.key]
    unreadable = [name for name in names if not _is_packable(reader.schema.field(name).type)]
    for name in unreadable:
        problem = f'column "{name}" is {reader.schema.field(name).type}, which is not written'
        if name in store.config.columns:
            raise DataError(f"{problem}; write it as numbers or text")
        logger.warning("materialize  %s", problem)
    names = [name for name in names if name not in unreadable]
    if not names:
        raise DataError(f'the table has no column to write beside the key "{store.config.key}"')
    return names


def _is_packable(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_list(kind):
        return _is_packable(kind.value_type)
    if types.is_map(kind):
        return _is_packable(kind.key_type) and _is_packable(kind.item_type)
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_string(kind)
        or types.is_null(kind)
    )
