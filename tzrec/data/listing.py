"""FileListing: the files of an input path and their footers, found once by rank 0 and sent to the other ranks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.config.comma_list import split_commas
from tzrec.data.exchange import Exchange
from tzrec.data.footers import Footer
from tzrec.data.paths import FileVersion, InputFile, filesystem
from tzrec.errors import DataError

_META = b"tzrec"


@dataclass(frozen=True)
class TableVersion:
    """A version of a table of a lake.

    Attributes:
        given: the table as the input path names it, without a version.
        pinned: the same with the version that is read.
        num_files: number of its files, which follow those of the tables before it.
        schema: its columns; with field ids if these, and not names, identify columns in files.
    """

    given: str
    pinned: str
    num_files: int
    schema: pa.Schema


def pin_versions(path: str, table_versions: Mapping[str, str]) -> str:
    """Add versions to the tables of an input path that have none.

    Args:
        path: comma list.
        table_versions: table -> the same with a version.
    """
    return ",".join(table_versions.get(item, item) for item in split_commas(path)) if table_versions else path


@dataclass(frozen=True)
class FileListing:
    """Files of an input path.

    Attributes:
        files: in reading order.
        footers: of each file; none for text.
        tables: tables of a lake to which the files belong.
    """

    files: Sequence[InputFile]
    footers: Sequence[Footer] = ()
    tables: Sequence[TableVersion] = ()

    def to_bytes(self) -> bytes:
        """Encode the listing as an Arrow stream, compressed."""
        schemas = {id(footer.schema): footer.schema for footer in self.footers}
        number_by_id = {key: number for number, key in enumerate(schemas)}
        meta = {
            "schemas": [_schema_text(schema) for schema in schemas.values()],
            "tables": [asdict(replace(table, schema=_schema_text(table.schema))) for table in self.tables],
        }
        columns: dict[str, Any] = {
            "path": [file.path for file in self.files],
            "name": [file.name for file in self.files],
            "partitions": [json.dumps(file.partitions) for file in self.files],
            "listed": [file.listed and asdict(file.listed) for file in self.files],
        }
        if self.footers:
            sizes = [len(footer.block_rows) for footer in self.footers]
            rows = np.concatenate([footer.block_rows for footer in self.footers])
            columns["block_rows"] = pa.ListArray.from_arrays(np.cumsum([0, *sizes]).astype(np.int32), pa.array(rows))
            columns["schema"] = [number_by_id[id(footer.schema)] for footer in self.footers]
            columns["version"] = [asdict(footer.version) for footer in self.footers]
        table = pa.table(columns).replace_schema_metadata({_META: json.dumps(meta)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    @classmethod
    def from_bytes(cls, data: bytes) -> FileListing:
        """Decode a listing."""
        rows = pa.ipc.open_stream(data).read_all()
        meta = json.loads(rows.schema.metadata[_META])
        columns = {name: rows[name].to_pylist() for name in rows.schema.names if name != "block_rows"}
        filesystems: dict[str, Any] = {}
        for name in columns["name"]:
            root = _root(name)
            if root not in filesystems:
                filesystems[root] = filesystem(name)[0]
        files = [
            InputFile(filesystems[_root(name)], path, name, tuple(map(tuple, json.loads(pairs))), _version(listed))
            for path, name, pairs, listed in zip(*(columns[key] for key in ("path", "name", "partitions", "listed")))
        ]
        footers: list[Footer] = []
        if "schema" in columns:
            schemas = [_schema(text) for text in meta["schemas"]]
            blocks = rows["block_rows"].combine_chunks()
            offsets, values = blocks.offsets.to_numpy(), blocks.values.to_numpy()
            for index, (number, version) in enumerate(zip(columns["schema"], columns["version"])):
                block_rows = values[offsets[index] : offsets[index + 1]]
                footers.append(Footer(schemas[number], block_rows, FileVersion(**version)))
        tables = [TableVersion(**{**table, "schema": _schema(table["schema"])}) for table in meta["tables"]]
        return cls(files, footers, tables)


def share_listing(exchange: Exchange, list_files: Callable[[], FileListing]) -> FileListing:
    """List the files on rank 0, and return its listing on all ranks.

    Args:
        exchange: ranks that make the same call.
        list_files: called on rank 0 only.

    Raises:
        DataError: the files cannot be listed; the same error on all ranks.
    """
    if exchange.world_size == 1:
        return list_files()
    if exchange.rank:
        kind, data = (reply := exchange.broadcast(b""))[:1], reply[1:]
        if kind == _ERROR:
            raise DataError(data.decode())
        return FileListing.from_bytes(data)
    try:
        listing = list_files()
    except DataError as error:
        exchange.broadcast(_ERROR + str(error).encode())
        raise
    exchange.broadcast(_LISTING + listing.to_bytes())
    return listing


_ERROR, _LISTING = b"e", b"l"
"""First byte of a message."""


def _root(name: str) -> str:
    """Return the part of a URL that determines its filesystem; "" for a local path."""
    return "/".join(name.split("/")[:3]) if "://" in name else ""


def _schema_text(schema: pa.Schema) -> str:
    return str(schema.serialize().to_pybytes().hex())


def _schema(text: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(text)))


def _version(value: dict[str, Any] | None) -> FileVersion | None:
    return FileVersion(**value) if value else None
