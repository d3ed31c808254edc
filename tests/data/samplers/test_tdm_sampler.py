"""TDM sampler: rows of nodes, their order and labels, the levels that are used, and distinct negatives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format

from tzrec.data.samplers.base import SampledRows, Stage
from tzrec.data.samplers.tdm_sampler import TDMSampler
from tzrec.data.tree.attributes import node_table
from tzrec.data.tree.codes import split_codes
from tzrec.data.tree.files import write_tables
from tzrec.data.tree.item_tree import ItemTree
from tzrec.errors import ConfigError, DataError
from tzrec.protos.data_pb2 import DataConfig


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep converted tables beside the files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write_tree(directory: Path, num_items: int, n: int = 2, ids: Any = None) -> ItemTree:
    """Write the tree of items 0, 1, ..., whose only attribute is the price, ten times the id."""
    tree = ItemTree.from_codes(split_codes(num_items, n), n)
    names = pa.array(range(num_items)) if ids is None else pa.array(ids)
    items = pa.table({"item_id": names, "price": pa.array(np.arange(num_items) * 10.0)})
    write_tables(directory, tree, node_table(tree, items, "item_id", [], ["price"]), "item_id", ["price"], ",")
    return tree


def make(directory: Path, counts: list[int], stage: Stage = "train", more: str = "") -> TDMSampler:
    text = (
        f'fg_mode: FG_DAG label_fields: "clk" tdm_sampler {{ item_input_path: "{directory}/node_table.txt" '
        f'edge_input_path: "{directory}/edge_table.txt" predict_edge_input_path: "{directory}/predict_edge_table.txt" '
        f'item_id_field: "item_id" attr_fields: "price" layer_num_sample: {counts} attr_delimiter: "," {more} }}'
    )
    config = text_format.Parse(text, DataConfig())
    return TDMSampler(config.tdm_sampler, config, stage)


def batch(items: list[Any], clk: pa.Array | None = None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "user_id": pa.array(range(100, 100 + len(items))),
            "item_id": pa.array(items),
            "price": pa.array([-1.0] * len(items)),
            "clk": pa.array([1] * len(items)) if clk is None else clk,
        }
    )


def level_of(tree: ItemTree, item: int, num_items: int) -> int:
    """Level of a node by its id."""
    return tree.depth if item < num_items else int(tree.node_levels[tree.codes.tolist().index(item - num_items)])


def ancestors(tree: ItemTree, item: int, num_items: int) -> list[int]:
    """Ids of the ancestors of an item below the root, from the highest."""
    code, path = int(tree.leaf_codes[item]), []
    while code > 0:
        code = (code - 1) // tree.n
        path.append(num_items + code)
    return path[:-1][::-1]


def column(rows: SampledRows, name: str) -> list[Any]:
    return rows.raw.column(name).to_pylist()


def test_tree_of_63_nodes_adds_the_rows_of_the_reference(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, 32)
    assert len(tree.codes) == 63
    rows = make(tmp_path, [0, 1, 2, 3, 4, 5]).sample(batch([0, 5, 9, 31]), 1)
    assert rows.raw.num_rows == 4 + 16 + 60
    assert rows.is_negative is not None
    assert rows.is_negative.tolist() == [False] * 20 + [True] * 60
    assert column(rows, "clk") == [1] * 20 + [0] * 60
    assert column(rows, "user_id") == [
        *range(100, 104),
        *(user for user in range(100, 104) for _ in range(4)),
        *(user for user in range(100, 104) for _ in range(15)),
    ]
    assert rows.origin.tolist() == [user - 100 for user in column(rows, "user_id")]
    assert column(rows, "item_id")[:20] == [
        *(0, 5, 9, 31),
        *(node for item in (0, 5, 9, 31) for node in ancestors(tree, item, 32)),
    ]
    levels = [level_of(tree, item, 32) for item in column(rows, "item_id")[20:]]
    assert levels == [1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5] * 4


def test_columns_of_the_item_have_the_attributes_of_the_node(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, 4)
    rows = make(tmp_path, [0, 1, 1]).sample(batch([0, 3], pa.array([1.0, 0.0])), 1)
    assert column(rows, "price")[:4] == [-1.0, -1.0, 5.0, 25.0]  # the batch is not changed; ancestors have means
    items = column(rows, "item_id")
    assert items[:4] == [0, 3, *ancestors(tree, 0, 4), *ancestors(tree, 3, 4)]
    price_by_node = {0: 0.0, 1: 10.0, 2: 20.0, 3: 30.0, items[2]: 5.0, items[3]: 25.0}
    assert column(rows, "price")[4:] == [price_by_node[item] for item in items[4:]]
    assert column(rows, "clk") == [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert rows.raw.schema.field("clk").type == pa.float64()


def test_negatives_are_distinct_and_never_the_positive(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, 32)
    sampler = make(tmp_path, [0, 1, 3, 6, 5, 9])
    for key in range(20):
        rows = sampler.sample(batch([7, 20]), key)
        items = column(rows, "item_id")[10:]
        for row, item in enumerate([7, 20]):
            drawn = items[row * 24 : row * 24 + 24]
            assert len(set(drawn)) == 24
            assert not {item, *ancestors(tree, item, 32)} & set(drawn)


def test_negatives_beyond_the_size_of_a_level_are_repeated(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, 8)
    items = column(make(tmp_path, [0, 3, 7, 1]).sample(batch([0]), 1), "item_id")[3:]
    (sibling,) = set(items[:3])
    assert level_of(tree, sibling, 8) == 1
    assert sibling != ancestors(tree, 0, 8)[0]
    assert sorted(Counter(items[3:10]).values()) == [2, 2, 3]
    assert {level_of(tree, item, 8) for item in items[3:10]} == {2}


def test_negatives_have_the_frequencies_of_their_weights(tmp_path: Path) -> None:
    write_tree(tmp_path, 64)
    path = tmp_path / "node_table.txt"
    lines = path.read_text().splitlines()
    heavy = [line.replace("\t1.0\t", "\t5.0\t") if line.split("\t")[0] in ("1", "2", "3") else line for line in lines]
    path.write_text("\n".join(heavy) + "\n")
    sampler, counts, num = make(tmp_path, [0, 0, 0, 0, 0, 0, 1]), Counter(), 40
    for key in range(250):
        counts.update(column(sampler.sample(batch([0] * num), key), "item_id")[num * 6 :])
    total = 5 * 3 + 60  # item 0 is the positive
    assert sum(counts.values()) == 250 * num
    for item in range(1, 64):
        p = (5 if item < 4 else 1) / total
        assert abs(counts[item] - p * 250 * num) < 4.5 * np.sqrt(p * (1 - p) * 250 * num), item


def test_equal_keys_draw_equal_rows(tmp_path: Path) -> None:
    write_tree(tmp_path, 32)
    counts = [0, 1, 2, 3, 4, 5]
    first, second = make(tmp_path, counts), make(tmp_path, counts, more="remain_ratio: 1")
    rows = batch([3, 4, 5])
    assert first.sample(rows, 9).raw.equals(second.sample(rows, 9).raw)
    assert not first.sample(rows, 9).raw.equals(first.sample(rows, 10).raw)


@pytest.mark.parametrize(
    ("kind", "weights"),
    [("UNIFORM", [1, 1, 1, 1]), ("arithmetic", [1, 2, 3, 4]), ("RECIPROCAL", [1 / 4, 1 / 3, 1 / 2, 1])],
)
def test_level_drop_keeps_one_draw_of_levels_per_batch(tmp_path: Path, kind: str, weights: list[float]) -> None:
    tree = write_tree(tmp_path, 32)
    sampler = make(tmp_path, [0, 1, 1, 1, 1, 2], more=f'remain_ratio: 0.25 probability_type: "{kind}"')
    seen: Counter[int] = Counter()
    for key in range(2000):
        rows = sampler.sample(batch([0, 31]), key)
        items = column(rows, "item_id")
        assert len(items) == 2 + 2 + 2 * 3  # one of the four levels, and that of the items
        levels = [level_of(tree, item, 32) for item in items]
        assert levels == [5, 5, levels[2], levels[2], levels[2], 5, 5, levels[2], 5, 5]
        assert items[2:4] == [ancestors(tree, item, 32)[levels[2] - 1] for item in (0, 31)]
        seen[levels[2]] += 1
    for level, weight in enumerate(weights, start=1):
        p = weight / sum(weights)
        assert abs(seen[level] - 2000 * p) < 4.5 * np.sqrt(2000 * p * (1 - p)), (level, seen)


def test_evaluation_uses_all_levels(tmp_path: Path) -> None:
    write_tree(tmp_path, 32)
    sampler = make(tmp_path, [0, 1, 1, 1, 1, 2], "eval", "remain_ratio: 0.25")
    assert sampler.sample(batch([0]), 1).raw.num_rows == 1 + 4 + 6


def test_remain_ratio_rounds_the_number_of_levels(tmp_path: Path) -> None:
    write_tree(tmp_path, 32)
    sizes = {}
    for ratio in (0.0, 0.3, 0.4, 0.7, 1.0):
        sampler = make(tmp_path, [0, 1, 1, 1, 1, 1], more=f"remain_ratio: {ratio}")
        sizes[ratio] = (sampler.sample(batch([0]), 1).raw.num_rows - 2) // 2
    assert sizes == {0.0: 0, 0.3: 1, 0.4: 2, 0.7: 3, 1.0: 4}


def test_tree_with_string_ids_and_three_children_is_expanded(tmp_path: Path) -> None:
    write_tree(tmp_path, 9, n=3, ids=list("abcdefghi"))
    rows = make(tmp_path, [0, 2, 3]).sample(batch(["a", "i"]), 1)
    items = column(rows, "item_id")
    assert items[:4] == ["a", "i", "nonleaf#03", "nonleaf#01"]
    assert {item[:7] for item in items[4:6]} == {"nonleaf"}
    assert all(len(item) == 1 for item in items[6:9])


def test_tree_without_middle_levels_adds_negatives_only(tmp_path: Path) -> None:
    write_tree(tmp_path, 2)
    rows = make(tmp_path, [0, 1]).sample(batch([0, 1]), 1)
    assert column(rows, "item_id") == [0, 1, 1, 0]
    assert column(rows, "clk") == [1, 1, 0, 0]


def test_unknown_item_is_a_bad_row_without_nodes(tmp_path: Path) -> None:
    write_tree(tmp_path, 4)
    rows = make(tmp_path, [0, 1, 1]).sample(batch([0, 99, None, 5]), 1)  # 5 is an inner node
    assert [(name, reason, at.tolist(), list(values)) for name, reason, at, values in rows.bad.reports] == [
        ("item_id", "not an item of the tree", [1, 2, 3], [99, None, 5])
    ]
    assert rows.origin.tolist() == [0, 1, 2, 3, 0, 0, 0]
    nothing = make(tmp_path, [0, 1, 1]).sample(batch([None]).cast(batch([1]).schema), 1)
    assert (nothing.origin.tolist(), nothing.bad.mask.tolist()) == ([0], [True])


def test_text_columns_receive_text(tmp_path: Path) -> None:
    write_tree(tmp_path, 4)
    texts = batch([0, 3])
    texts = pa.RecordBatch.from_arrays([array.cast(pa.string()) for array in texts.columns], texts.schema.names)
    rows = make(tmp_path, [0, 1, 1]).sample(texts, 1)
    assert set(rows.raw.schema.types) == {pa.string()}
    assert column(rows, "clk") == ["1", "1", "1", "1", "0", "0", "0", "0"]
    assert column(rows, "price")[2:4] == ["5", "25"]


def test_list_label_raises_data_error(tmp_path: Path) -> None:
    write_tree(tmp_path, 4)
    with pytest.raises(DataError, match='label column "clk" is list<item: int64>; the sampler of TDM adds rows'):
        make(tmp_path, [0, 1, 1]).sample(batch([0], pa.array([[1]])), 1)


def test_other_number_of_levels_raises_config_error(tmp_path: Path) -> None:
    write_tree(tmp_path, 32)
    with pytest.raises(ConfigError) as error:
        make(tmp_path, [0, 1, 2, 3])
    assert "data_config.tdm_sampler.layer_num_sample: has 4 numbers, but the tree of" in str(error.value)
    assert "has 6 levels; give the number of negatives of each level, that of the root first" in str(error.value)


def test_table_without_levels_raises_data_error(tmp_path: Path) -> None:
    write_tree(tmp_path, 4)
    path = tmp_path / "node_table.txt"
    path.write_text(path.read_text().replace("\t1.0\t2,0,", "\t1.0\tx,0,"))
    with pytest.raises(DataError, match='row 8 has the tree_level "x", which is no number from -1 up'):
        make(tmp_path, [0, 1, 1])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_label_of_text_has_its_values_in_added_rows(tmp_path: Path, kind: pa.DataType) -> None:
    write_tree(tmp_path, 8)
    items = [3, 5]
    of_numbers = make(tmp_path, [0, 1, 2, 3]).sample(batch(items), 7)
    text = (
        f'fg_mode: FG_DAG label_fields: "clk" label_values {{ label: "clk" values: ["no", "yes"] }} tdm_sampler {{ '
        f'item_input_path: "{tmp_path}/node_table.txt" edge_input_path: "{tmp_path}/edge_table.txt" '
        f'item_id_field: "item_id" attr_fields: "price" layer_num_sample: [0, 1, 2, 3] attr_delimiter: "," }}'
    )
    config = text_format.Parse(text, DataConfig())
    labels = pa.array(["yes", "yes"]).cast(kind)
    of_text = TDMSampler(config.tdm_sampler, config, "train").sample(batch(items, labels), 7)
    assert column(of_text, "clk") == [["no", "yes"][label] for label in column(of_numbers, "clk")]
    assert set(column(of_text, "clk")) == {"no", "yes"}
