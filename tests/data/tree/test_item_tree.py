from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tzrec.data.tree.codes import split_codes
from tzrec.data.tree.item_tree import ItemTree
from tzrec.errors import DataError


def test_node_ids_of_ten_items_are_those_of_the_reference() -> None:
    tree = ItemTree.from_codes(split_codes(10, 2), 2)
    assert tree.node_ids(pa.array(range(10))).to_pylist() == [*range(10, 25), *range(9, -1, -1)]
    assert [len(level) for level in tree.levels] == [1, 2, 4, 8, 10]
    assert tree.node_levels.tolist() == [0, 1, 1, *[2] * 4, *[3] * 8, *[4] * 10]


def test_node_ids_of_strings_have_leading_zeros() -> None:
    tree = ItemTree.from_codes(split_codes(6, 2), 2)
    ids = tree.node_ids(pa.array(list("abcdef"))).to_pylist()
    assert ids[:3] == ["nonleaf#00", "nonleaf#01", "nonleaf#02"]
    assert ids[7:] == ["f", "e", "d", "c", "b", "a"]


def test_from_codes_moves_all_leaves_to_last_level() -> None:
    tree = ItemTree.from_codes(np.array([1, 5, 13, 14]), 2)
    assert tree.depth == 3
    assert tree.leaf_codes.tolist() == [7, 11, 13, 14]
    assert [level.tolist() for level in tree.levels] == [[0], [1, 2], [3, 5, 6], [7, 11, 13, 14]]


def test_from_codes_with_min_depth_adds_levels_of_single_children() -> None:
    tree = ItemTree.from_codes(split_codes(3, 2), 2, min_depth=5)
    assert [len(level) for level in tree.levels] == [1, 2, 3, 3, 3, 3]


def test_from_codes_of_one_item_has_a_root_above_it() -> None:
    tree = ItemTree.from_codes(split_codes(1, 2), 2)
    assert [level.tolist() for level in tree.levels] == [[0], [1]]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (pa.array([1, 2, 1]), "1 item ids occur more than once, such as 1 (2 times); a tree holds each item once"),
        (pa.array([1, None, 2]), "1 of 3 items have no id"),
        (pa.array([1, -1, 2]), "renumber the items from 0 on, or use string ids"),
        (pa.array([1, 2, 2**63 - 2]), "leave no ids for the inner nodes of a tree"),
        (pa.array(["a", "b", "nonleaf#1"]), 'item ids must not begin with "nonleaf#"'),
    ],
)
def test_node_ids_of_invalid_items_raises(ids: pa.Array, message: str) -> None:
    with pytest.raises(DataError) as error:
        ItemTree.from_codes(split_codes(3, 2), 2).node_ids(ids)
    assert message in str(error.value)
