"""Synthetic items of a config with a sampler: tables that it reads, and users that prefer a cluster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format

from tests.fixtures.item_tables import table
from tests.fixtures.two_tower_config import TEXT, two_tower_config
from tzrec.data.samplers.edge_table import EdgeTable
from tzrec.data.samplers.node_table import NodeTable
from tzrec.data.synthetic import make_table, make_tables
from tzrec.data.synthetic.items import NUM_CLUSTERS, ItemCatalog
from tzrec.protos.pipeline_pb2 import EasyRecConfig

__all__ = ["table"]
pytestmark = pytest.mark.usefixtures("table")


def config() -> EasyRecConfig:
    return text_format.Parse(TEXT, EasyRecConfig())


def catalog() -> tuple[ItemCatalog, dict[int, int]]:
    """The items, and the cluster of each id."""
    items = ItemCatalog.of(config())
    assert items is not None
    ids = items.columns["item_id"].to_pylist()
    return items, {item: number % NUM_CLUSTERS for number, item in enumerate(ids)}


def test_tables_have_the_names_of_the_config_and_can_be_read(tmp_path: Path) -> None:
    edits = make_tables(config(), tmp_path)
    prefix = "data_config.hard_negative_sampler"
    assert edits == {
        f"{prefix}.user_input_path": f"{tmp_path}/users.txt",
        f"{prefix}.item_input_path": f"{tmp_path}/items.txt",
        f"{prefix}.hard_neg_edge_input_path": f"{tmp_path}/edges.txt",
    }
    nodes = NodeTable.open(edits[f"{prefix}.item_input_path"], ["item_id", "cate", "price", "unknown"])
    edges = EdgeTable.open(edits[f"{prefix}.hard_neg_edge_input_path"], nodes)
    assert len(nodes) == len(catalog()[1]) > 100
    assert len(edges) == 4 * len(edges.keys)
    assert (nodes.weights > 0).all()


def test_tables_without_a_sampler_are_none(tmp_path: Path) -> None:
    assert make_tables(EasyRecConfig(), tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()


def test_items_of_rows_and_histories_are_in_the_cluster_of_the_user() -> None:
    items, cluster_by_item = catalog()
    rows = make_table(config(), 2000, seed=5)
    users = items.clusters(rows["user_id"].combine_chunks())
    chosen = np.array([cluster_by_item[item] for item in rows["item_id"].to_pylist()])
    expected = 0.9 + 0.1 / NUM_CLUSTERS
    assert abs((chosen == users).mean() - expected) < 3 * np.sqrt(expected * (1 - expected) / 2000)
    histories = rows["click__item_id"].to_pylist()
    pairs = [(user, cluster_by_item[int(item)]) for user, row in zip(users, histories) for item in elements(row)]
    share = np.mean([user == cluster for user, cluster in pairs])
    assert abs(share - expected) < 3 * np.sqrt(expected * (1 - expected) / len(pairs))


def elements(cell: object) -> list[object]:
    """Elements of a sequence, which is a list or text."""
    if isinstance(cell, str):
        return list(cell.split(";"))
    return cell or []  # type: ignore[return-value]


def test_attributes_of_rows_are_those_of_their_items(tmp_path: Path) -> None:
    two_tower_config(tmp_path)
    attributes = {}
    for line in (tmp_path / "items.txt").read_text().splitlines()[1:]:
        item, _, texts = line.split("\t")
        attributes[int(item)] = texts.split(":")
    rows = pq.read_table(tmp_path / "data").to_pylist()
    for row in rows:
        own = attributes[row["item_id"]]
        assert own[:2] == [str(row["item_id"]), row["cate"]]
        assert float(own[2]) == pytest.approx(row["price"])
        assert own[3] == "0", "an attribute that the data does not have"


def test_items_do_not_depend_on_the_seed() -> None:
    first, second = (make_table(config(), 500, seed=seed) for seed in (1, 2))
    known = set(catalog()[1])
    assert set(first["item_id"].to_pylist()) | set(second["item_id"].to_pylist()) <= known
    assert first["item_id"].to_pylist() != second["item_id"].to_pylist()


def test_attribute_that_contains_the_delimiter_has_a_column_of_its_own(tmp_path: Path) -> None:
    weighted = config()
    weighted.feature_configs[2].id_feature.weighted = True
    make_tables(weighted, tmp_path)
    header, line = (tmp_path / "items.txt").read_text().splitlines()[:2]
    assert header.split("\t") == ["id:int64", "weight:float", *(f"{n}:string" for n in ITEM_FIELDS)]
    assert len(line.split("\t")) == 6
    nodes = NodeTable.open(str(tmp_path / "items.txt"), ITEM_FIELDS)
    assert ":" in nodes.attributes(np.arange(5))["cate"][0].as_py()


ITEM_FIELDS = ["item_id", "cate", "price", "unknown"]
