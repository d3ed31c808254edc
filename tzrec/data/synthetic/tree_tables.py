"""Tables of a tree of synthetic items for the sampler of TDM; neighbors in the tree are in the same cluster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.synthetic.items import NUM_CLUSTERS, ItemCatalog, texts
from tzrec.data.tree.attributes import TREE_LEVEL, node_table
from tzrec.data.tree.codes import split_codes
from tzrec.data.tree.files import EDGES, NODES, PREDICT_EDGES, write_tables
from tzrec.data.tree.item_tree import ItemTree
from tzrec.data.tree.tables import attribute_names
from tzrec.protos.sampler_pb2 import TDMSampler

_FILES = {"item_input_path": NODES, "edge_input_path": EDGES, "predict_edge_input_path": PREDICT_EDGES}


def make_tree_tables(catalog: ItemCatalog, sampler: TDMSampler, directory: Path) -> dict[str, str]:
    """Write the tables of a tree with as many levels as the sampler has numbers of negatives.

    Args:
        catalog: the items.
        sampler: describes the tables.
        directory: of the files.

    Returns:
        paths of the tables by the name of the field of the sampler.
    """
    depth = max(1, len(sampler.layer_num_sample) - 1)
    n = 2
    while n**depth < len(catalog):
        n += 1
    items = np.arange(len(catalog))
    codes = np.empty(len(catalog), dtype=np.int64)
    codes[np.argsort(items % NUM_CLUSTERS, kind="stable")] = split_codes(len(catalog), n)
    tree = ItemTree.from_codes(codes, n, depth)
    names = attribute_names(sampler.attr_fields, catalog.item_id)
    attributes = [name for name in names if name not in (TREE_LEVEL, catalog.item_id)]
    columns = {name: _column(catalog, name) for name in [catalog.item_id, *attributes]}
    nodes = node_table(tree, pa.table(columns), catalog.item_id, attributes, [])
    nodes = nodes.set_column(1, catalog.item_id, _small_ids(nodes[catalog.item_id].combine_chunks(), len(catalog)))
    write_tables(directory, tree, nodes.select(names), catalog.item_id, [], sampler.attr_delimiter)
    return {field: str(directory / name) for field, name in _FILES.items()}


def _column(catalog: ItemCatalog, name: str) -> pa.Array:
    """Values of an attribute, lists as text; zeros for one that the data does not have."""
    column = catalog.columns.get(name, pa.repeat("0", len(catalog)))
    return pa.array(texts(column)) if pa.types.is_nested(column.type) else column


def _small_ids(ids: pa.Array, num_items: int) -> pa.Array:
    """Give inner nodes the smallest numbers that no item has, so that they fit the table of the item feature."""
    items, num_inner = ids.slice(len(ids) - num_items), len(ids) - num_items
    if pa.types.is_string(ids.type) and not pc.all(pc.match_substring_regex(items, "^[0-9]{1,9}$")).as_py():
        return ids
    free = np.setdiff1d(np.arange(len(ids)), items.cast(pa.int64()).to_numpy())[:num_inner]
    return pa.concat_arrays([pa.array(free).cast(ids.type), items])
