from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tzrec.data.tree.files import EDGES, NODES, SERVING_TREE
from tzrec.errors import DataError
from tzrec.tools.tdm import cluster_tree
from tzrec.tools.tdm.items import embeddings_of


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


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[0.5, 1.0], [2.0, -3.0]]),
        pa.array([[0.5, 1.0], [2.0, -3.0]], pa.list_(pa.float32(), 2)),
        pa.array(["0.5,1", "2,-3"]),
        pa.array(["[0.5,1.0]", "[2.0, -3.0]"]),
    ],
    ids=["lists", "fixed", "text", "json"],
)
def test_embeddings_of_all_forms_are_equal(column: pa.Array) -> None:
    vectors = embeddings_of(pa.chunked_array([column]), "v")
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[0.5, 1.0], [2.0, -3.0]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0], [1.0, 2.0]], '--embedding_field "v": row 1 has 2 numbers, the first row 1'),
        ([[1.0], None], '--embedding_field "v": row 1 has no numbers, the first row 1'),
        ([[1.0], [float("nan")]], '--embedding_field "v": row 1 has a number that is not finite'),
        ([1.0, 2.0], '--embedding_field "v" is double; it must hold lists of numbers'),
    ],
)
def test_embeddings_of_invalid_vectors_raise(values: list[Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        embeddings_of(pa.chunked_array([pa.array(values)]), "v")
    assert str(error.value) == message
