from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tzrec.data.tree.attributes import node_table
from tzrec.data.tree.codes import split_codes
from tzrec.data.tree.item_tree import ItemTree
from tzrec.errors import DataError


def below(tree: ItemTree, code: int, values: list[Any]) -> list[Any]:
    """List the values of the items below a node, in the order of their codes."""
    found = []
    for item in tree.leaf_order:
        ancestor = int(tree.leaf_codes[item])
        while ancestor > code:
            ancestor = (ancestor - 1) // tree.n
        if ancestor == code:
            found.append(values[item])
    return found


def mode(values: list[Any], is_text: bool) -> Any:
    known = [value for value in values if value is not None and value != ""]
    if not known:
        return "" if is_text else None
    counts = Counter(known)
    best = max(counts.values())
    candidates = [value for value in known if counts[value] == best]
    return candidates[0] if is_text else min(candidates)


@pytest.mark.parametrize("n", [2, 3])
def test_attributes_equal_loops_over_leaves(n: int) -> None:
    rng = np.random.default_rng(n)
    texts = [None if x == 0 else "" if x == 1 else f"w{x}" for x in rng.integers(0, 6, 23).tolist()]
    numbers = [None if x == 0 else x + 0.5 for x in rng.integers(0, 4, 23).tolist()]
    counts = [None if x == 0 else x + 1 for x in rng.integers(0, 9, 23).tolist()]
    items = pa.table(
        {
            "id": pa.array(rng.permutation(23)),
            "text": texts,
            "kind": pa.array(counts, pa.int32()),
            "price": pa.array(numbers, pa.float32()),
            "stock": pa.array(counts, pa.int32()),
        }
    )
    tree = ItemTree.from_codes(split_codes(23, n), n)
    nodes = node_table(tree, items, "id", ["text", "kind"], ["price", "stock"])
    assert nodes.column_names == ["tree_level", "id", "text", "kind", "price", "stock"]
    assert nodes.schema.types[3:] == [pa.int32(), pa.float32(), pa.int32()]
    num_inner = len(tree.codes) - 23
    for row, code in zip(nodes.slice(0, num_inner).to_pylist(), tree.codes.tolist()):
        assert row["text"] == mode(below(tree, code, texts), True)
        assert row["kind"] == mode(below(tree, code, counts), False)
        prices = [value for value in below(tree, code, numbers) if value is not None]
        assert row["price"] == (pytest.approx(sum(prices) / len(prices), rel=1e-6) if prices else None)
        stocks = [value for value in below(tree, code, counts) if value is not None]
        assert row["stock"] == (round(sum(stocks) / len(stocks)) if stocks else None)
    leaves = nodes.slice(num_inner)
    assert leaves.column("text").to_pylist() == [texts[item] for item in tree.leaf_order]
    assert leaves.column("tree_level").to_pylist() == [tree.depth] * 23


def test_attributes_without_values_are_null() -> None:
    items = pa.table({"id": [0, 1], "text": pa.nulls(2, pa.string()), "kind": pa.nulls(2, pa.int64())})
    tree = ItemTree.from_codes(split_codes(2, 2), 2)
    root = node_table(tree, items, "id", ["text", "kind"], []).to_pylist()[0]
    assert root == {"tree_level": 0, "id": 2, "text": "", "kind": None}


@pytest.mark.parametrize(
    ("attr", "raw", "message"),
    [
        (["tags"], [], 'attribute "tags" is list<item: int64>; attributes of a tree are numbers or strings'),
        ([], ["name"], 'raw attribute "name" is string and has no mean; list it in --attr_fields'),
    ],
)
def test_attributes_of_other_types_raise(attr: list[str], raw: list[str], message: str) -> None:
    items = pa.table({"id": [0, 1], "tags": [[1], [2]], "name": ["a", "b"]})
    with pytest.raises(DataError) as error:
        node_table(ItemTree.from_codes(split_codes(2, 2), 2), items, "id", attr, raw)
    assert str(error.value) == message
