"""Files of a tree: tables of nodes and edges that the sampler and the beam search read, and the tree of a server.

node_table.txt          every node with weight and attributes, and one node more above the root
edge_table.txt          from each leaf to its ancestors below the root
predict_edge_table.txt  from each node to its children, and to the root from the node above it
node_feature/           the attributes of every node as a Parquet file, to predict embeddings from
serving_tree            number of levels and children, then code and id of every node
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.atomic import AtomicFile
from tzrec.data.tree.attributes import TREE_LEVEL
from tzrec.data.tree.codes import parents_of
from tzrec.data.tree.item_tree import VIRTUAL_ID, ItemTree
from tzrec.data.writer import ParquetWriter
from tzrec.errors import DataError
from tzrec.features.arrays import Int64Array

NODES, EDGES, PREDICT_EDGES = "node_table.txt", "edge_table.txt", "predict_edge_table.txt"
NODE_FEATURES, SERVING_TREE = "node_feature", "serving_tree"
_LINES = 1 << 16
_WEIGHT = "1.0"


def write_tables(
    directory: Path, tree: ItemTree, nodes: pa.Table, id_field: str, raw_attr_fields: Sequence[str], delimiter: str
) -> None:
    """Write the tables of nodes and edges, and the features of the nodes.

    Args:
        directory: created if it does not exist.
        tree: of the items.
        nodes: see `attributes.node_table`.
        id_field: column of ids.
        raw_attr_fields: columns of numbers; null is written as 0, of other attributes as "".
        delimiter: between the attributes of a node.

    Raises:
        DataError: an attribute contains the delimiter, a tab or a newline.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ids = nodes.column(id_field).combine_chunks()
    kind = "string" if pa.types.is_string(ids.type) else "int64"
    texts = pa.concat_arrays([pa.array([str(VIRTUAL_ID)]), ids.cast(pa.string())])
    attributes = _attributes(nodes, id_field, raw_attr_fields, delimiter)
    node_lines = pc.binary_join_element_wise(texts, _WEIGHT, attributes, "\t")
    _write_lines(directory / NODES, f"id:{kind}\tweight:float\tfeature:string", _blocks(node_lines))
    header = f"src_id:{kind}\tdst_id:{kind}\tweight:float"
    names = texts[1:]
    _write_lines(directory / EDGES, header, _edge_lines(names, _ancestor_edges(tree)))
    root = pa.array([f"{VIRTUAL_ID}\t{names[0]}\t{_WEIGHT}"])
    parents = np.searchsorted(tree.codes, parents_of(tree.codes[1:], tree.n))
    children = [(parents, np.arange(1, len(tree.codes)))]
    _write_lines(directory / PREDICT_EDGES, header, [root, *_edge_lines(names, children)])
    with ParquetWriter(str(directory / NODE_FEATURES), "part-0") as writer:
        writer.write(nodes.drop_columns([TREE_LEVEL]))


def write_serving_tree(directory: Path, tree: ItemTree, ids: pa.Array) -> None:
    """Write code and id of every node, level after level, after a line with the numbers of levels and children."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = pc.binary_join_element_wise(pa.array(tree.codes).cast(pa.string()), ids.cast(pa.string()), " ")
    _write_lines(directory / SERVING_TREE, f"{tree.depth + 1} {tree.n}", _blocks(lines))


def _attributes(nodes: pa.Table, id_field: str, raw_attr_fields: Sequence[str], delimiter: str) -> pa.Array:
    """Attributes of every node as text, first those of the node above the root: level -1, the others of the root."""
    columns = []
    for name in nodes.column_names:
        column = nodes.column(name).combine_chunks()
        texts = pc.fill_null(column.cast(pa.string()), "0" if name in raw_attr_fields else "")
        first = pa.array([str(VIRTUAL_ID)]) if name in (TREE_LEVEL, id_field) else texts[:1]
        columns.append(pa.concat_arrays([first, texts]))
        for mark in {delimiter, "\t", "\n", "\r"}:
            is_split = pc.match_substring(texts, mark)
            if pc.any(is_split).as_py():
                value = texts.filter(is_split)[0].as_py()
                raise DataError(
                    f'attribute "{name}": {value!r} contains {mark!r}, which separates attributes or lines; '
                    "choose another --attr_delimiter, or replace it in the items"
                )
    return pc.binary_join_element_wise(*columns, delimiter)


def _ancestor_edges(tree: ItemTree) -> Iterator[tuple[Int64Array, Int64Array]]:
    """Edges from leaves to their ancestors below the root, leaf after leaf from the highest ancestor, as indices."""
    first = len(tree.codes) - len(tree.leaf_codes)
    for start in range(0, len(tree.leaf_codes), _LINES):
        codes, path = tree.levels[-1][start : start + _LINES], []
        leaves = first + start + np.arange(len(codes))
        for _ in range(tree.depth - 1):
            codes = parents_of(codes, tree.n)
            path.append(np.searchsorted(tree.codes, codes))
        if path:
            ancestors = np.stack(path[::-1], axis=1)  # (leaves, depth - 1)
            yield np.repeat(leaves, tree.depth - 1), ancestors.ravel()


def _edge_lines(ids: pa.Array, edges: Iterable[tuple[Int64Array, Int64Array]]) -> Iterator[pa.Array]:
    for sources, targets in edges:
        yield from _blocks(
            pc.binary_join_element_wise(ids.take(pa.array(sources)), ids.take(pa.array(targets)), _WEIGHT, "\t")
        )


def _blocks(lines: pa.Array) -> Iterator[pa.Array]:
    for start in range(0, len(lines), _LINES):
        yield lines.slice(start, _LINES)


def _write_lines(path: Path, header: str, blocks: Iterable[pa.Array]) -> None:
    with AtomicFile(path) as file, file.open() as sink:
        sink.write(f"{header}\n".encode())
        for block in blocks:
            sink.write("".join(f"{line}\n" for line in block.to_pylist()).encode())
