"""Attributes of the nodes of a tree of items: those of an inner node summarize the items below it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.tree.codes import parents_of
from tzrec.data.tree.item_tree import ItemTree
from tzrec.errors import DataError
from tzrec.features.arrays import Int64Array

TREE_LEVEL = "tree_level"
"""Attribute with the level of a node."""


def node_table(
    tree: ItemTree, items: pa.Table, id_field: str, attr_fields: Sequence[str], raw_attr_fields: Sequence[str]
) -> pa.Table:
    """Build the table of all nodes, level after level: the columns `tree_level`, id and attributes.

    An attribute of an inner node is the most frequent value of the items below it: of strings the most frequent one
    that is not empty, the first in the order of the leaves among equally frequent ones, "" if there is none; of other
    types the smallest of the most frequent ones. A raw attribute is their mean, rounded where the column holds
    integers. Both are null where no item has a value.

    Args:
        tree: of the items.
        items: one row per item.
        id_field: column of ids.
        attr_fields, raw_attr_fields: columns of attributes.

    Raises:
        DataError: ids that `ItemTree.node_ids` refuses, or a column of a type that cannot be summarized.
    """
    order = pa.array(tree.leaf_order)
    columns = {TREE_LEVEL: pa.array(tree.node_levels), id_field: tree.node_ids(_one_array(items, id_field))}
    for name in attr_fields:
        columns[name] = _modes(tree, _one_array(items, name).take(order), name)
    for name in raw_attr_fields:
        columns[name] = _means(tree, _one_array(items, name).take(order), name)
    return pa.table(columns)


def _one_array(items: pa.Table, name: str) -> pa.Array:
    column = items.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _groups(tree: ItemTree) -> list[Int64Array]:
    """Per level above the leaves, the index in this level of the ancestor of each leaf, in the order of the leaves."""
    codes, groups = tree.levels[-1], []
    for level in tree.levels[-2::-1]:
        codes = parents_of(codes, tree.n)
        groups.append(np.searchsorted(level, codes))
    return groups[::-1]


def _modes(tree: ItemTree, leaves: pa.Array, name: str) -> pa.Array:
    """Most frequent value below each node, in the order of `tree.codes`; `leaves` in the order of the leaves."""
    kind = leaves.type
    if pa.types.is_nested(kind):
        raise DataError(f'attribute "{name}" is {kind}; attributes of a tree are numbers or strings')
    is_text = pa.types.is_string(kind)
    known = leaves.filter(pc.not_equal(leaves, "")) if is_text else leaves.drop_null()
    values = known.unique()
    values = values.take(pc.sort_indices(values))
    indices = pc.fill_null(pc.index_in(leaves, values), -1).to_numpy().astype(np.int64)  # (N,), -1 for none
    best = [_most_frequent(groups, indices, len(values), is_text) for groups in _groups(tree)]
    inner = np.concatenate(best)
    modes = values.take(pa.array(inner, mask=inner < 0))
    if is_text:
        modes = pc.fill_null(modes, "")
    return pa.concat_arrays([modes, leaves])


def _most_frequent(groups: Int64Array, values: Int64Array, num_values: int, is_first: bool) -> Int64Array:
    """Index of the most frequent value of each group, -1 for none.

    Args:
        groups: group of each leaf, `(N,)`, of which none is empty.
        values: index of its value; -1 for none.
        num_values: number of different values.
        is_first: of equally frequent values the first of the group; otherwise the smallest.
    """
    is_known = values >= 0
    keys = groups[is_known] * num_values + values[is_known]
    pairs, first, counts = np.unique(keys, return_index=True, return_counts=True)
    order = np.lexsort((first if is_first else pairs, -counts, pairs // max(num_values, 1)))
    owners = pairs[order] // max(num_values, 1)
    present, start = np.unique(owners, return_index=True)
    best = np.full(groups.max() + 1, -1, dtype=np.int64)
    best[present] = pairs[order][start] % max(num_values, 1)
    return best


def _means(tree: ItemTree, leaves: pa.Array, name: str) -> pa.Array:
    """Mean below each node, in the order of `tree.codes`; `leaves` in the order of the leaves."""
    kind = leaves.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f'raw attribute "{name}" is {kind} and has no mean; list it in --attr_fields')
    is_known = leaves.is_valid().to_numpy(zero_copy_only=False)
    numbers = pc.fill_null(leaves, 0).to_numpy(zero_copy_only=False).astype(np.float64)
    means = []
    for groups in _groups(tree):
        size = groups.max() + 1
        counts = np.bincount(groups, is_known, size)
        sums = np.bincount(groups, numbers, size)
        mean = np.divide(sums, counts, out=np.zeros(size), where=counts > 0)
        mean = np.rint(mean) if pa.types.is_integer(kind) else mean
        means.append(pa.array(mean, mask=counts == 0).cast(kind))
    return pa.concat_arrays([*means, leaves])
