"""TreeNodes: the nodes of a tree from its tables, by level, and their children."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.samplers.edge_table import EdgeTable
from tzrec.data.samplers.node_table import NodeTable
from tzrec.data.tree.attributes import TREE_LEVEL
from tzrec.data.tree.item_tree import VIRTUAL_ID
from tzrec.errors import DataError
from tzrec.features.arrays import BoolArray, Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.protos.sampler_pb2 import TDMSampler

_BLOCK = 1 << 20


def attribute_names(attr_fields: Sequence[str], id_field: str) -> list[str]:
    """Return the attributes of a table of nodes in its order: level and id come first where they are not listed."""
    return [name for name in (TREE_LEVEL, id_field) if name not in attr_fields] + list(attr_fields)


class TreeNodes:
    """Nodes of a tree.

    Attributes:
        table: the nodes; one of them, of level -1, may stand above the root.
        levels: level of each node, `(N,)`.
        num_levels: number of levels from the root to the leaves.

    Args:
        config: names the tables.

    Raises:
        DataError: the table cannot be read, a level is not a number, or a level between others has no nodes.
    """

    def __init__(self, config: TDMSampler) -> None:
        names = attribute_names(config.attr_fields, config.item_id_field)
        self.table = NodeTable.open(config.item_input_path, names, config.attr_delimiter, config.field_delimiter)
        table = self.table
        parts = [self._read_levels(start) for start in range(0, len(table), _BLOCK)]
        self.levels: Int64Array = np.concatenate(parts)
        self.num_levels = int(self.levels.max()) + 1
        self._rows = np.argsort(self.levels, kind="stable")
        self._starts = np.searchsorted(self.levels[self._rows], np.arange(self.num_levels + 1))
        empty = np.flatnonzero(np.diff(self._starts) == 0)
        if len(empty):
            raise DataError(
                f"{table.name}: no node has the {TREE_LEVEL} {empty[0]}, but others have {self.num_levels - 1}; "
                "write the tables again with tzrec.tools.tdm"
            )
        self._position = np.empty(len(table), dtype=np.int64)
        self._position[self._rows] = np.arange(len(table)) - self._starts[np.maximum(self.levels[self._rows], 0)]

    def rows(self, level: int) -> Int64Array:
        """Rows of the nodes of a level in the table."""
        return self._rows[self._starts[level] : self._starts[level + 1]]

    def positions(self, rows: Int64Array) -> Int64Array:
        """Return the positions of nodes among those of their level, as `rows` returns them."""
        return self._position[rows]

    def _read_levels(self, start: int) -> Int64Array:
        rows = np.arange(start, min(start + _BLOCK, len(self.table)))
        texts = self.table.attributes(rows)[TREE_LEVEL]
        is_level = pc.match_substring_regex(texts, r"^(-1|[0-9]{1,4})$")
        if not pc.all(is_level).as_py():
            row = pc.index(is_level, False).as_py()
            raise DataError(
                f'{self.table.name}: row {start + row + 1} has the {TREE_LEVEL} "{texts[row]}", which is no number '
                "from -1 up; the attributes of a node are level, id and attr_fields, divided by attr_delimiter "
                "(write them with tzrec.tools.tdm)"
            )
        return texts.cast(pa.int64()).to_numpy()


class TreeEdges:
    """Edges of a tree from each node to its children.

    Attributes:
        start: rows of the nodes below the one above the root: usually the root alone.

    Args:
        config: names the tables.
        nodes: the nodes.

    Raises:
        DataError: the table cannot be read, or no edge begins above the root.
    """

    def __init__(self, config: TDMSampler, nodes: NodeTable) -> None:
        self._nodes = nodes
        self._edges = EdgeTable.open(config.predict_edge_input_path, nodes, config.field_delimiter)
        top = self._edges.find_column(pa.array([str(VIRTUAL_ID)]), config.item_id_field, BadRows(1))
        if top[0] < 0:
            raise DataError(
                f"{config.predict_edge_input_path}: no edge begins at {VIRTUAL_ID}, the node above the root; write the "
                "tables with tzrec.tools.tdm"
            )
        self.start = self._edges.neighbours(top)[1].astype(np.int64)

    @cached_property
    def num_children(self) -> int:
        """Largest number of children of a node, at least 2."""
        return max(2, int(np.diff(self._edges.offsets).max()))

    @cached_property
    def _sources(self) -> Int64Array:
        return self._edges.find(np.asarray(self._nodes.keys))

    def is_leaf(self, rows: Int64Array) -> BoolArray:
        """Mask of the nodes without children."""
        return self._sources[rows] < 0  # type: ignore[no-any-return]

    def children(self, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return the children of nodes `(F,)`: for each the index of its parent in `rows`, and its row."""
        offsets, targets = self._edges.neighbours(self._sources[rows])
        return np.repeat(np.arange(len(rows)), np.diff(offsets)), targets.astype(np.int64)
