"""ItemTree: items as the leaves of a tree, all on its last level, and the nodes above them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.tree.codes import depth_of, first_code, lower_to, parents_of
from tzrec.errors import DataError
from tzrec.features.arrays import Int64Array

NONLEAF = "nonleaf#"
"""Prefix of the ids of inner nodes where items have string ids."""
VIRTUAL_ID = -1
"""Id of the node above the root, from which a beam search starts."""


@dataclass(frozen=True, eq=False)
class ItemTree:
    """Items as leaves of a tree (Zhu et al., KDD 2018, section 3.1).

    Attributes:
        n: largest number of children of a node.
        leaf_codes: code of each item, `(N,)`, all of the last level and all different.
        depth: number of the last level.
    """

    n: int
    leaf_codes: Int64Array
    depth: int

    @classmethod
    def from_codes(cls, codes: Int64Array, n: int, min_depth: int = 1) -> ItemTree:
        """Create the tree of leaves with any codes, none below another; all are moved to the last level.

        Args:
            codes: code of each item, `(N,)`.
            n: largest number of children of a node.
            min_depth: the last level is at least this one.
        """
        depth = max(depth_of(len(codes), n), min_depth)
        while first_code(depth + 1, n) <= codes.max():
            depth += 1
        assert first_code(depth + 1, n) < 2**62, f"codes of level {depth} of a tree with {n} children do not fit"
        lowered = lower_to(codes, depth, n)
        assert len(np.unique(lowered)) == len(lowered), "a leaf lies below another"
        return cls(n, lowered, depth)

    @cached_property
    def levels(self) -> list[Int64Array]:
        """Codes of the nodes of each level in increasing order, from the root to the leaves."""
        levels = [np.sort(self.leaf_codes)]
        while len(levels) <= self.depth:
            levels.append(np.unique(parents_of(levels[-1], self.n)))
        return levels[::-1]

    @cached_property
    def leaf_order(self) -> Int64Array:
        """Index of the item of each node of the last level, `(N,)`."""
        return np.argsort(self.leaf_codes, kind="stable")

    @cached_property
    def codes(self) -> Int64Array:
        """Codes of all nodes, level after level."""
        return np.concatenate(self.levels)

    @cached_property
    def node_levels(self) -> Int64Array:
        """Level of each node of `codes`."""
        return np.repeat(np.arange(self.depth + 1), [len(level) for level in self.levels])

    def node_ids(self, item_ids: pa.Array) -> pa.Array:
        """Ids of all nodes in the order of `codes`: those of inner nodes are not those of items.

        They are the largest item id plus the code plus 1; among strings `nonleaf#` and the code with leading zeros.

        Args:
            item_ids: id of each item, int64 or string.

        Raises:
            DataError: an id is missing or not unique, or there is no int64 for an inner node.
        """
        _check_ids(item_ids)
        inner = self.codes[: len(self.codes) - len(self.leaf_codes)]
        leaves = item_ids.take(pa.array(self.leaf_order))
        if pa.types.is_string(item_ids.type):
            width = len(str(self.codes[-1]))
            texts = pc.utf8_lpad(pa.array(inner).cast(pa.string()), width, "0")
            ids = pc.binary_join_element_wise(NONLEAF, texts, "")
            if pc.any(pc.starts_with(item_ids, NONLEAF)).as_py():
                raise DataError(f'item ids must not begin with "{NONLEAF}", the prefix of the inner nodes of a tree')
        else:
            largest = pc.max(item_ids).as_py()
            if largest + int(inner[-1]) + 1 > np.iinfo(np.int64).max or pc.min(item_ids).as_py() < 0:
                raise DataError(
                    f"item ids from {pc.min(item_ids)} to {largest:,} leave no ids for the inner nodes of a tree; "
                    "renumber the items from 0 on, or use string ids"
                )
            ids = pa.array(largest + inner + 1, pa.int64())
        return pa.concat_arrays([ids, leaves])


def _check_ids(item_ids: pa.Array) -> None:
    """Check that ids are present and unique.

    Raises:
        DataError: names an id that is not.
    """
    if item_ids.null_count:
        raise DataError(f"{item_ids.null_count:,} of {len(item_ids):,} items have no id")
    counts = pc.value_counts(item_ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        first = repeated[0].as_py()
        raise DataError(
            f"{len(repeated):,} item ids occur more than once, such as {first['values']} ({first['counts']} times); "
            "a tree holds each item once"
        )
