from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tzrec.data.tree.files import EDGES, NODE_FEATURES, NODES, PREDICT_EDGES, SERVING_TREE
from tzrec.errors import DataError, UsageError
from tzrec.tools.tdm import init_tree

ATTRIBUTES = ["--attr_fields", "int_a,str_c", "--raw_attr_fields", "float_b"]


@pytest.fixture
def items(tmp_path: Path) -> Path:
    """Six items in two categories."""
    table = pa.table(
        {
            "item": range(6),
            "cate": [0, 1, 0, 1, 0, 1],
            "int_a": [7, None, 7, 8, 9, 8],
            "str_c": ["x", "", None, "y", "x", "y"],
            "float_b": pa.array([0.5, 1.5, None, 2.5, 1.0, 2.0], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "items.parquet")
    return tmp_path / "items.parquet"


def build(items: Path, out: Path, *flags: str) -> None:
    arguments = ["--item_input_path", str(items), "--item_id_field", "item", "--cate_id_field", "cate"]
    assert init_tree.main.__wrapped__([*arguments, "--node_edge_output_file", str(out), *flags]) == 0


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_files_of_six_items_are_exact(items: Path, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    build(items, out, *ATTRIBUTES, "--tree_output_dir", str(out))
    # sorted by category and id: 0 2 4 | 1 3 5; the codes of the halves are 2 and 1
    assert lines(out / SERVING_TREE) == [
        *("4 2", "0 6", "1 7", "2 8", "3 9", "4 10", "5 11", "6 12"),
        *("7 5", "8 3", "9 1", "11 4", "12 2", "13 0"),
    ]
    assert lines(out / NODES) == [
        "id:int64\tweight:float\tfeature:string",
        *("-1\t1.0\t-1,-1,7,y,1.5", "6\t1.0\t0,6,7,y,1.5", "7\t1.0\t1,7,8,y,2", "8\t1.0\t1,8,7,x,0.75"),
        *("9\t1.0\t2,9,8,y,2.25", "10\t1.0\t2,10,,,1.5", "11\t1.0\t2,11,7,x,1", "12\t1.0\t2,12,7,x,0.5"),
        *("5\t1.0\t3,5,8,y,2", "3\t1.0\t3,3,8,y,2.5", "1\t1.0\t3,1,,,1.5"),
        *("4\t1.0\t3,4,9,x,1", "2\t1.0\t3,2,7,,0", "0\t1.0\t3,0,7,x,0.5"),
    ]
    header = "src_id:int64\tdst_id:int64\tweight:float"
    paths = {5: (7, 9), 3: (7, 9), 1: (7, 10), 4: (8, 11), 2: (8, 11), 0: (8, 12)}
    assert lines(out / EDGES) == [header, *(f"{leaf}\t{node}\t1.0" for leaf, path in paths.items() for node in path)]
    edges = [(-1, 6), (6, 7), (6, 8), (7, 9), (7, 10), (8, 11), (8, 12), (9, 5), (9, 3), (10, 1), (11, 4), (11, 2)]
    assert lines(out / PREDICT_EDGES) == [header, *(f"{parent}\t{child}\t1.0" for parent, child in [*edges, (12, 0)])]
    features = pq.read_table(out / NODE_FEATURES)
    assert features.num_rows == 13
    assert features.slice(11, 1).to_pylist() == [{"item": 2, "int_a": 7, "str_c": None, "float_b": None}]


def test_files_of_string_ids_name_their_type(items: Path, tmp_path: Path) -> None:
    table = pq.read_table(items)
    pq.write_table(table.set_column(0, "item", pa.array(list("abcdef"))), items)
    build(items, tmp_path / "tree")
    assert lines(tmp_path / "tree" / NODES)[:3] == [
        "id:string\tweight:float\tfeature:string",
        *("-1\t1.0\t-1,-1", "nonleaf#00\t1.0\t0,nonleaf#00"),
    ]
    assert lines(tmp_path / "tree" / EDGES)[:2] == ["src_id:string\tdst_id:string\tweight:float", "f\tnonleaf#01\t1.0"]


def test_files_of_csv_items_equal_those_of_parquet(items: Path, tmp_path: Path) -> None:
    rows = [("item", "cate", "int_a", "str_c", "float_b"), *(row.values() for row in pq.read_table(items).to_pylist())]
    text = "".join(",".join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows)
    (tmp_path / "items.csv").write_text(text)
    build(items, tmp_path / "a", *ATTRIBUTES)
    build(tmp_path / "items.csv", tmp_path / "b", *ATTRIBUTES)
    for name in (NODES, EDGES, PREDICT_EDGES):
        assert lines(tmp_path / "a" / name) == lines(tmp_path / "b" / name)


def test_only_requested_files_are_written(items: Path, tmp_path: Path) -> None:
    arguments = ["--item_input_path", str(items), "--item_id_field", "item", "--cate_id_field", "cate"]
    assert init_tree.main.__wrapped__([*arguments, "--tree_output_dir", str(tmp_path / "served")]) == 0
    assert [path.name for path in (tmp_path / "served").iterdir()] == [SERVING_TREE]
    with pytest.raises(UsageError, match="pass --node_edge_output_file for tables to train on"):
        init_tree.main.__wrapped__(arguments)


def test_attribute_with_delimiter_raises_data_error(items: Path, tmp_path: Path) -> None:
    table = pq.read_table(items)
    pq.write_table(table.set_column(3, "str_c", pa.array(["a", "b,c", "d", "e", "f", "g"])), items)
    with pytest.raises(DataError, match=r"attribute \"str_c\": 'b,c' contains ',', .* choose another --attr_delimiter"):
        build(items, tmp_path / "tree", *ATTRIBUTES)
    build(items, tmp_path / "tree", *ATTRIBUTES, "--attr_delimiter", "\x02")
    assert "5\t1.0\t3\x025\x028\x02g\x022" in lines(tmp_path / "tree" / NODES)


def test_warehouse_flag_raises_usage_error(items: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="MaxCompute is not supported"):
        build(items, tmp_path, "--odps_data_quota_name", "quota")
