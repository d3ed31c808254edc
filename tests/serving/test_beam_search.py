"""Beam search equals exhaustive scoring of all leaves with a wide beam, and loops over nodes with a narrow one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.fixtures import tdm_run
from tzrec.config.load import load_config
from tzrec.errors import DataError, PackageError, UsageError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.beam_search import BeamSearch
from tzrec.serving.predictor import Predictor
from tzrec.serving.servable import Servable
from tzrec.serving.tree_predictor import TreePredictor

USERS = ["age", "click__item_id"]


class Fixture:
    """An untrained model whose scores differ between nodes, its search, and its predictor."""

    def __init__(self, config: EasyRecConfig) -> None:
        torch.manual_seed(0)
        encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
        model = build_model(config, encoder.features).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn_like(parameter) / 2)
        scorer = Servable.from_model(model)
        self.predictor = Predictor(scorer, config, encoder)
        self.search = BeamSearch(scorer, encoder, config)
        self.children: dict[int, list[int]] = {}
        for line in Path(config.data_config.tdm_sampler.predict_edge_input_path).read_text().splitlines()[1:]:
            parent, child, _ = line.split("\t")
            self.children.setdefault(int(parent), []).append(int(child))
        nodes = Path(config.data_config.tdm_sampler.item_input_path).read_text().splitlines()[1:]
        self.attributes = {int(line.split("\t")[0]): line.split("\t")[2].split(",") for line in nodes}

    def scores(self, user: dict[str, Any], nodes: list[int]) -> dict[int, float]:
        """Probabilities of nodes, by the predictor and one row at a time."""
        result = {}
        for node in nodes:
            _, _, shop, price = self.attributes[node]
            row = {name: [user[name]] for name in USERS}
            row |= {"item_id": [node], "shop": [int(shop)], "price": [float(price)]}
            result[node] = self.predictor.predict(pa.table(row))["probs1"][0].as_py()
        return result

    def beam(self, user: dict[str, Any], k: int, first_level: int) -> list[int]:
        """Beam search with loops."""
        frontier = self.children[-1]
        for _ in range(first_level):
            frontier = [child for node in frontier for child in self.children[node]]
        while frontier[0] in self.children:
            scores = self.scores(user, frontier)
            best = sorted(frontier, key=lambda node: -scores[node])[: 2 * k]
            frontier = [child for node in best for child in self.children[node]]
        scores = self.scores(user, frontier)
        return sorted(frontier, key=lambda node: -scores[node])[:k]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    directory = tmp_path_factory.mktemp("tdm")
    return Fixture(load_config(str(tdm_run.write(directory))))


def search(run: Fixture, users: pa.Table, k: int) -> pa.Table:
    batch = users.select(USERS).combine_chunks().to_batches()[0]
    found, bad = run.search.search(batch, k, {"price": pa.float64(), "shop": pa.int64()})
    assert not bad
    return run.search.to_table(found, users.num_rows)


def test_wide_beam_finds_the_best_of_all_leaves(run: Fixture) -> None:
    users = tdm_run.users(3, 5)
    table = search(run, users, tdm_run.NUM_ITEMS)
    for user, ids, scores in zip(users.to_pylist(), table["ids"].to_pylist(), table["scores"].to_pylist()):
        expected = run.scores(user, list(range(tdm_run.NUM_ITEMS)))
        assert sorted(ids) == list(range(tdm_run.NUM_ITEMS))
        np.testing.assert_allclose(scores, [expected[item] for item in ids], rtol=1e-5, atol=1e-7)
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(("k", "first_level"), [(1, 2), (2, 3), (3, 4)])
def test_narrow_beam_equals_loops_over_nodes(run: Fixture, k: int, first_level: int) -> None:
    assert run.search.first_layer(k) == first_level
    users = tdm_run.users(4, 6)
    ids = search(run, users, k)["ids"].to_pylist()
    assert ids == [run.beam(user, k, first_level) for user in users.to_pylist()]
    assert len({tuple(row) for row in ids}) > 1


@pytest.mark.parametrize(("k", "n", "level"), [(200, 2, 6), (1, 2, 2), (4, 2, 4), (5, 2, 5), (8, 4, 3), (16, 4, 4)])
def test_first_layer_is_exact_and_within_the_tree(run: Fixture, k: int, n: int, level: int) -> None:
    assert run.search.first_layer(k, n) == level


def test_four_nodes_have_eight_children(run: Fixture) -> None:
    rows = run.search.nodes.rows(2)
    parents, children = run.search._edges.children(rows)
    assert parents.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert sorted(children) == sorted(run.search.nodes.rows(3))


def test_users_are_searched_independently(run: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    users = tdm_run.users(5, 7)
    together = search(run, users, 4)
    alone = pa.concat_tables([search(run, users.slice(row, 1), 4) for row in range(5)])
    assert together["ids"].to_pylist() == alone["ids"].to_pylist()
    monkeypatch.setattr("tzrec.serving.beam_search._PAIRS", 7)
    assert search(run, users, 4)["ids"].to_pylist() == together["ids"].to_pylist()


def test_predictor_of_a_tree_retrieves_ids_and_scores(run: Fixture) -> None:
    users = tdm_run.users(5, 7)
    predictor = TreePredictor(run.search._scorer, run.predictor.config, run.predictor.encoder)
    table = predictor.retrieve(users.select(USERS), 3)
    assert table.equals(search(run, users, 3).cast(table.schema))
    with pytest.raises(UsageError, match="retrieve: k must be a whole number from 1 up; received 0"):
        predictor.retrieve(users, 0)
    with pytest.raises(DataError, match="the table has no rows"):
        predictor.retrieve(users.slice(0, 0), 1)
    with pytest.raises(DataError, match="row 1: column \"age\" has 'x': not an integer"):
        predictor.retrieve({"age": ["1", "x"], "click__item_id": ["1", "2"]}, 1)


def test_model_without_probabilities_raises_package_error(run: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.search._scorer, "predict", lambda inputs: {"y": torch.zeros(1)})
    with pytest.raises(PackageError, match="the model has the outputs y, and none with the probability of a node"):
        search(run, tdm_run.users(1, 1), 1)


def test_tables_without_root_raise_data_error(run: Fixture, tmp_path: Path) -> None:
    config = load_config(str(tdm_run.write(tmp_path, 4)))
    path = tmp_path / "tree" / "predict_edge_table.txt"
    path.write_text(path.read_text().replace("\n-1\t", "\n7\t"))
    with pytest.raises(DataError, match="no edge begins at -1, the node above the root"):
        BeamSearch(run.search._scorer, run.predictor.encoder, config)
