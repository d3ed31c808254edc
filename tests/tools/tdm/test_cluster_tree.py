from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tzrec.data.tree.files import EDGES, NODES, SERVING_TREE
from tzrec.errors import DataError
from tzrec.tools.tdm import cluster_tree


def build(path: Path, out: Path) -> None:
    arguments = ["--item_input_path", str(path), "--item_id_field", "item", "--embedding_field", "item_emb"]
    outputs = ["--node_edge_output_file", str(out), "--tree_output_dir", str(out), "--parallel", "1"]
    assert cluster_tree.main.__wrapped__([*arguments, *outputs, "--attr_fields", "cate"]) == 0


def test_files_hold_items_in_the_order_of_their_clusters(tmp_path: Path) -> None:
    vectors = [[float(i)] * 4 for i in range(10)]
    pq.write_table(pa.table({"item": range(10), "cate": ["c"] * 10, "item_emb": vectors}), tmp_path / "items.parquet")
    build(tmp_path / "items.parquet", tmp_path / "tree")
    served = (tmp_path / "tree" / SERVING_TREE).read_text().splitlines()
    assert served[0] == "5 2"
    assert [int(line.split()[1]) for line in served[1:]] == [*range(10, 25), 5, 6, 4, 7, 8, 1, 2, 0, 9, 3]
    assert (tmp_path / "tree" / NODES).read_text().splitlines()[2] == "10\t1.0\t0,10,c"
    assert len((tmp_path / "tree" / EDGES).read_text().splitlines()) == 31


@pytest.mark.parametrize("form", ["[{0},{1}]", "{0},{1}"])
def test_embeddings_as_text_give_the_same_tree(form: str, tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=(12, 2)).round(3)
    for name, vectors in (("a", numbers.tolist()), ("b", [form.format(*row) for row in numbers.tolist()])):
        pq.write_table(pa.table({"item": range(12), "cate": ["c"] * 12, "item_emb": vectors}), tmp_path / name)
        build(tmp_path / name, tmp_path / f"tree_{name}")
    left, right = ((tmp_path / name / SERVING_TREE).read_text() for name in ("tree_a", "tree_b"))
    assert left == right


def test_embeddings_of_several_widths_raise_data_error(tmp_path: Path) -> None:
    table = pa.table({"item": [0, 1], "cate": ["c", "c"], "item_emb": [[1.0], [1.0, 2.0]]})
    pq.write_table(table, tmp_path / "items.parquet")
    with pytest.raises(DataError, match='column "item_emb" has'):
        build(tmp_path / "items.parquet", tmp_path / "tree")
