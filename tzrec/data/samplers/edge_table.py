"""EdgeTable: neighbours of ids among the nodes of a table, mapped into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.data.samplers.ids import column_keys, text_keys
from tzrec.data.samplers.node_table import NodeTable, index_size
from tzrec.data.samplers.table_cache import CachedTable, cached_table
from tzrec.data.samplers.table_header import require_width
from tzrec.data.samplers.table_reader import TableColumn, TableReader
from tzrec.errors import DataError
from tzrec.features.arrays import Int32Array, Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.log import logger


class EdgeTable:
    """Edges from ids, of users or nodes, to the nodes of a table; those of one id keep the order of the file.

    Attributes:
        id_type: of the sources, "int64" or "string".
        keys: of the S sources, int64 `(S,)`, in the order of their first edges.
        offsets: of the edges of each source, int64 `(S + 1,)`.
        targets: rows of the table of nodes, int32 `(E,)`.
        digest: name that stands for the content.
    """

    def __init__(self, table: CachedTable) -> None:
        """Map a converted table; use `open` instead."""
        self.digest = table.digest
        self.id_type: str = table.meta["id_type"]
        self.keys: Int64Array = table.array("keys", np.int64)
        self.offsets: Int64Array = table.array("offsets", np.int64)
        self.targets: Int32Array = table.array("targets", np.int32)
        self._slots: Int32Array = table.array("slots", np.int32)

    @classmethod
    def open(cls, path: str, nodes: NodeTable, field_delimiter: str = "") -> EdgeTable:
        """Open the table of a path; the first process of a host converts it.

        Args:
            path: as of `NodeTable.open`, with the columns userid:int64<TAB>itemid:int64<TAB>weight:float. The weight
                is not used.
            nodes: table of the targets; edges to other ids are left out with a warning.
            field_delimiter: separator of the columns of text; "" means tab.

        Raises:
            DataError: there is no such file, it is malformed, or it has edges and none of them leads to a node.
        """
        reader = TableReader(path, field_delimiter)
        name = f"edge table {path}"
        header = reader.header
        kinds = ["int64", nodes.id_type]
        if header is not None:
            require_width(reader.files[0], header, ("source id", "target id"))
            kinds[0] = "string" if header.types[0] == "string" else "int64"
        columns = [TableColumn(index, kind, "id") for index, kind in enumerate(kinds)]
        identity = ["edges", reader.identity, kinds, nodes.digest]
        return cls(cached_table(identity, name, lambda directory: _convert(directory, reader, columns, nodes, name)))

    def __len__(self) -> int:
        return len(self.targets)

    def find(self, keys: Int64Array) -> Int64Array:
        """Return the number of the source with each key, -1 for one without edges."""
        from tzrec.data.samplers import kernels

        return kernels.find(self.keys, self._slots, keys)  # type: ignore[no-any-return]

    def find_column(self, column: pa.Array, name: str, bad: BadRows) -> Int64Array:
        """Return the number of the source of each row of a column of a batch; see `ids.column_keys`."""
        return self.find(column_keys(column, self.id_type, name, bad))

    def neighbours(self, sources: Int64Array, limit: int = -1) -> tuple[Int64Array, Int32Array]:
        """Return the first targets of each source.

        Args:
            sources: numbers of sources, -1 for one without edges `(Q,)`.
            limit: largest number of targets per source; -1 for all.

        Returns:
            offsets `(Q + 1,)`, and the targets of all sources, one after the other.
        """
        from tzrec.data.samplers import kernels

        return kernels.neighbours(self.offsets, self.targets, sources, limit)  # type: ignore[no-any-return]


def _convert(
    directory: Path, reader: TableReader, columns: list[TableColumn], nodes: NodeTable, name: str
) -> dict[str, Any]:
    """Write the files of an EdgeTable."""
    from tzrec.data.samplers import kernels

    sources: list[Int64Array] = [np.empty(0, np.int64)]
    targets: list[Int32Array] = [np.empty(0, np.int32)]
    num_edges, num_unknown, example = 0, 0, ""
    for batch in reader.batches(columns):
        keys = [
            text_keys(column) if kind.kind == "string" else column.to_numpy()
            for kind, column in zip(columns, batch.columns, strict=True)
        ]
        rows = nodes.find(keys[1])
        unknown = np.flatnonzero(rows < 0)
        if len(unknown) and not example:
            example = str(batch.column(1)[int(unknown[0])])
        num_edges, num_unknown = num_edges + len(rows), num_unknown + len(unknown)
        sources.append(keys[0][rows >= 0])
        targets.append(rows[rows >= 0].astype(np.int32))
    if num_unknown:
        message = (
            f'{num_unknown:,} of {num_edges:,} edges lead to ids that {nodes.name} does not have, such as "{example}"'
        )
        if num_unknown == num_edges:
            raise DataError(f"{reader.files[0].name}: {message}; write the same ids in both tables")
        logger.warning("%s: %s; they are left out", name, message)
    all_sources, all_targets = np.concatenate(sources), np.concatenate(targets)
    slots = np.full(index_size(len(all_sources)), -1, np.int32)
    keys_of_sources, offsets, grouped = kernels.group_targets(all_sources, all_targets, slots)
    small = np.full(index_size(len(keys_of_sources)), -1, np.int32)
    kernels.build_index(keys_of_sources, small)
    for label, array in (("keys", keys_of_sources), ("offsets", offsets), ("targets", grouped), ("slots", small)):
        array.tofile(directory / label)
    return {"id_type": columns[0].kind}
