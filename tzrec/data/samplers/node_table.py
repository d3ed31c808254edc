"""NodeTable: items with weights and attributes, mapped into memory and found by id."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.samplers.ids import column_keys, text_keys
from tzrec.data.samplers.table_cache import CachedTable, cached_table
from tzrec.data.samplers.table_header import EXAMPLE, TableHeader, position, require_width
from tzrec.data.samplers.table_reader import TableColumn, TableReader
from tzrec.data.samplers.text_column import TextColumn, TextColumnWriter
from tzrec.errors import DataError
from tzrec.features.arrays import Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.log import logger


@dataclass(frozen=True)
class NodeFormat:
    """Layout of the attributes of a table of nodes.

    Attributes:
        fields: names of the attributes in the order of the table.
        delimiter: separator of the attributes where one column holds all of them.
    """

    fields: tuple[str, ...]
    delimiter: str

    def columns(self, reader: TableReader, header: TableHeader) -> list[TableColumn]:
        """Return the columns to read: the id, the weight, and one column of all attributes or one for each.

        Raises:
            DataError: the table has too few columns.
        """
        require_width(reader.files[0], header, ("id", "weight"))
        id_position, weight_position = position(header, "id", 0), position(header, "weight", 1)
        kind = header.types[id_position]
        columns = [
            TableColumn(id_position, "string" if kind == "string" else "int64", "id", *_ID_RULE[kind == "string"]),
            TableColumn(weight_position, "float", "weight", _bad_weights, "a weight is a finite number, at least 0"),
        ]
        rest = [index for index in range(len(header.names)) if index not in (id_position, weight_position)]
        if set(self.fields) <= set(header.names):
            positions = [header.names.index(name) for name in self.fields]
            return [*columns, *(TableColumn(index, "string", "attributes") for index in positions)]
        if not rest:
            raise DataError(
                f"{reader.files[0].name}: has no column of attributes for attr_fields {', '.join(self.fields)}; write "
                f"the header {EXAMPLE}, and in each line the attributes divided by attr_delimiter {self.delimiter!r}"
            )
        count = len(self.fields)
        rule = f"not {count} attributes divided by attr_delimiter {self.delimiter!r}, as attr_fields names"
        return [*columns, TableColumn(rest[0], "string", "attributes", self._has_other_count, rule)]

    def _has_other_count(self, texts: pa.Array) -> pa.Array:
        return pc.not_equal(pc.count_substring(texts, self.delimiter), len(self.fields) - 1)


def _bad_weights(weights: pa.Array) -> pa.Array:
    return pc.invert(pc.and_(pc.is_finite(weights), pc.greater_equal(weights, 0.0)))


def _empty(texts: pa.Array) -> pa.Array:
    return pc.equal(texts, "")


_ID_RULE: dict[bool, tuple[Any, ...]] = {False: (), True: (_empty, "an id is not empty")}


class NodeTable:
    """Nodes of a table in the order of its rows; several processes share its memory.

    Of nodes with the same id the first one counts.

    Attributes:
        fields: names of the attributes.
        id_type: "int64" or "string".
        keys: of the ids, int64 `(N,)`: the integers, or 63-bit hashes of text.
        weights: float64 `(N,)`, 0 for a node whose id an earlier one has.
        digest: name that stands for the content.
    """

    def __init__(self, table: CachedTable, name: str, fields: Sequence[str], delimiter: str) -> None:
        """Map a converted table; use `open` instead."""
        self.name, self.fields, self.digest = name, tuple(fields), table.digest
        self.id_type: str = table.meta["id_type"]
        self.keys: Int64Array = table.array("keys", np.int64)
        self.weights: npt.NDArray[np.float64] = table.array("weights", np.float64)
        self._slots = table.array("slots", np.int32)
        self._delimiter = delimiter
        self._texts = [TextColumn(table, f"text{index}") for index in range(table.meta["num_texts"])]
        self._ids = TextColumn(table, "ids") if self.id_type == "string" else None

    @classmethod
    def open(cls, path: str, fields: Sequence[str], attr_delimiter: str = ":", field_delimiter: str = "") -> NodeTable:
        """Open the table of a path; the first process of a host converts it.

        Args:
            path: comma list of files, folders and globs: text with the header of `table_header.EXAMPLE`, or CSV,
                Parquet, ORC or Arrow IPC files with such columns.
            fields: names of the attributes in the order of the table. They are read from columns of these names if the
                table has them, else from its column of attributes.
            attr_delimiter: separator of the attributes in a column of attributes.
            field_delimiter: separator of the columns of text; "" means tab.

        Raises:
            DataError: there is no such file, it is malformed, or it has no node.
        """
        layout = NodeFormat(tuple(fields), attr_delimiter)
        reader = TableReader(path, field_delimiter)
        name = f"item table {path}"
        header = reader.header
        if header is None:
            raise DataError(f"{reader.files[0].name}: is empty; write the header {EXAMPLE} and a line per item")
        columns = layout.columns(reader, header)
        identity = ["nodes", reader.identity, [column.position for column in columns], list(fields), attr_delimiter]
        table = cached_table(identity, name, lambda directory: _convert(directory, reader, columns, name))
        return cls(table, path, fields, attr_delimiter)

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: Int64Array) -> Int64Array:
        """Return the row of each key, -1 for one that the table does not have."""
        from tzrec.data.samplers import kernels

        return kernels.find(self.keys, self._slots, keys)  # type: ignore[no-any-return]

    def find_column(self, column: pa.Array, name: str, bad: BadRows) -> tuple[Int64Array, Int64Array]:
        """Return the keys of a column of a batch and their rows; see `ids.column_keys`."""
        keys = column_keys(column, self.id_type, name, bad)
        return keys, self.find(keys)

    def id_texts(self, rows: Int64Array) -> pa.Array:
        """Return the ids of some rows, integers or text."""
        return pa.array(self.keys[rows]) if self._ids is None else self._ids.take(rows)

    def attributes(self, rows: Int64Array) -> dict[str, pa.Array]:
        """Return the attributes of some rows as text, by name."""
        if len(self._texts) == len(self.fields):
            return {name: text.take(rows) for name, text in zip(self.fields, self._texts, strict=True)}
        parts = self._texts[0].take_parts(rows, self._delimiter, len(self.fields))
        return dict(zip(self.fields, parts, strict=True))


def _convert(directory: Path, reader: TableReader, columns: Sequence[TableColumn], name: str) -> dict[str, Any]:
    """Write the files of a NodeTable."""
    from tzrec.data.samplers import kernels

    is_text = columns[0].kind == "string"
    keys: list[Int64Array] = [np.empty(0, np.int64)]
    weights: list[npt.NDArray[np.float64]] = [np.empty(0)]
    with ExitStack() as stack:
        texts = [stack.enter_context(TextColumnWriter(directory, f"text{i}")) for i in range(len(columns) - 2)]
        ids = stack.enter_context(TextColumnWriter(directory, "ids")) if is_text else None
        for batch in reader.batches(columns):
            if ids is not None:
                ids.append(batch.column(0))
            keys.append(text_keys(batch.column(0)) if is_text else batch.column(0).to_numpy())
            weights.append(batch.column(1).to_numpy())
            for text, column in zip(texts, batch.columns[2:], strict=True):
                text.append(column)
    all_keys, all_weights = np.concatenate(keys), np.concatenate(weights)
    if not len(all_keys):
        raise DataError(f"{reader.files[0].name}: has no item; write a line per item below the header")
    slots = np.full(index_size(len(all_keys)), -1, np.int32)
    is_repeated = kernels.build_index(all_keys, slots)
    all_weights[is_repeated] = 0
    if is_repeated.any():
        repeats = np.flatnonzero(is_repeated)
        if is_text:
            _check_collisions(directory, kernels.find(all_keys, slots, all_keys[repeats]), repeats, name)
        logger.warning(
            "%s: %s of %s rows repeat the id of an earlier row and are left out, first in row %s",
            name,
            f"{len(repeats):,}",
            f"{len(all_keys):,}",
            f"{repeats[0] + 1:,}",
        )
    for label, array in (("keys", all_keys), ("weights", all_weights), ("slots", slots)):
        array.tofile(directory / label)
    return {"id_type": "string" if is_text else "int64", "num_texts": len(columns) - 2}


def _check_collisions(directory: Path, first: Int64Array, repeats: Int64Array, name: str) -> None:
    """Compare the text of ids with equal keys.

    Raises:
        DataError: two different ids have the same key.
    """
    ids = TextColumn(CachedTable(directory, {}, ""), "ids")
    left, right = ids.take(first), ids.take(repeats)
    at = pc.index(pc.not_equal(left, right), True).as_py()
    if at >= 0:
        raise DataError(
            f'{name}: the ids "{left[at]}" and "{right[at]}" have the same 63-bit hash; write one of them differently'
        )


def index_size(count: int) -> int:
    """Number of slots of a hash index of `count` keys, a power of two."""
    return 1 << max(2, (2 * count).bit_length())
