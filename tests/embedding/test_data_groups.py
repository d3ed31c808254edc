"""Groups of a batch whose data groups differ in their number of rows, against lookups row by row."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchrec import KeyedJaggedTensor, KeyedTensor

from tests.fixtures import toy_model
from tests.fixtures.feature_groups import make_feature, make_group
from tzrec.data.batch import BASE, NEG, Batch
from tzrec.distributed.shard import shard
from tzrec.embedding.group import EmbeddingGroup
from tzrec.errors import ConfigError
from tzrec.features.base import DenseEmbedding, Table
from tzrec.protos.model_pb2 import DEEP, FeatureGroupConfig
from tzrec.tables.initialization import init_table
from tzrec.tables.layout import build_layouts
from tzrec.tables.plan_summary import plan_rows

SEED = 1
TABLES = {"user": Table("user_emb", 9, 4), "item": Table("item_emb", 12, 4), "history": Table("item_emb", 12, 4)}
IDS = {"user": [[3], [5, 6]], "item": [[0], [1], [2, 7], [], [4]], "history": [[1, 2], [], [3], [4], [5, 6, 7]]}
PRICES = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]])


FEATURES = {
    "user": make_feature("user", TABLES["user"]),
    "item": make_feature("item", TABLES["item"], data_group=NEG),
    "price": make_feature("price", dim=1, data_group=NEG),
    "weight": make_feature("weight", dim=1, embedding=DenseEmbedding("mlp", 1, 4), data_group=NEG),
    "history": make_feature("history", TABLES["history"], is_sequence=True, data_group=NEG),
}
GROUPS = [
    make_group("item", "price", "item", "weight"),
    make_group("user", "user"),
    make_group("history", "history", group_type="SEQUENCE"),
]


def jagged(name: str) -> KeyedJaggedTensor:
    lengths = torch.tensor([len(row) for row in IDS[name]], dtype=torch.int32)
    return KeyedJaggedTensor([name], torch.tensor([i for row in IDS[name] for i in row]), lengths=lengths)


def batch() -> Batch:
    return Batch(
        rows=2,
        dense={NEG: KeyedTensor(["price", "weight"], [1, 1], torch.cat([PRICES, -PRICES], 1))},
        sparse={BASE: jagged("user"), NEG: jagged("item")},
        sequences={NEG: jagged("history")},
        rows_by_data_group={NEG: 5},
    )


def embedding_group() -> EmbeddingGroup:
    torch.manual_seed(SEED)
    return EmbeddingGroup(FEATURES, GROUPS)


def pooled(name: str) -> torch.Tensor:
    table = init_table(torch.empty(TABLES[name].rows, 4), TABLES[name], SEED)
    return torch.stack([table[row].sum(0) for row in IDS[name]])


def test_groups_have_the_rows_of_their_data_group() -> None:
    module = embedding_group()
    grouped = module(batch())
    torch.testing.assert_close(grouped["user"], pooled("user"))
    (linear,) = module.dense_impls.embeddings
    expected = torch.cat([PRICES, pooled("item"), linear(-PRICES)], 1)
    torch.testing.assert_close(grouped["item"], expected)
    assert grouped["user"].shape[0] == batch().num_rows() == 2
    assert grouped["item"].shape[0] == batch().num_rows(NEG) == 5


def test_sequence_group_has_the_rows_of_its_data_group() -> None:
    grouped = embedding_group()(batch())
    assert grouped["history.sequence"].shape == (5, 3, 4)
    assert grouped["history.sequence_length"].tolist() == [2, 0, 1, 1, 3]
    torch.testing.assert_close(grouped["history.sequence"].sum(1), pooled("history"))


def test_dims_are_in_config_order() -> None:
    module = embedding_group()
    assert dict(module.dims) == {"item": 9, "user": 4}
    assert module.dims.sequences == {"history": (0, 4)}


def test_parameters_are_named_by_data_group() -> None:
    module = embedding_group()
    assert [name for name, _ in module.named_parameters() if "_impls" in name] == [
        "emb_impls.__BASE__.ebc.embedding_bags.user_emb.weight",
        "emb_impls.__NEG__.ebc.embedding_bags.item_emb.weight",
        "seq_emb_impls.__NEG__.ec_dict.4.embeddings.item_emb.weight",
        "dense_impls.embeddings.0.weight",
    ]
    tables = module.tables_at("seq_emb_impls.__NEG__.ec_dict.4")
    assert tables["item_emb"].full_name == "sequence.item_emb"


def test_table_is_named_by_data_group_where_another_one_has_its_name() -> None:
    features = FEATURES | {"last": make_feature("last", TABLES["item"])}
    layouts = build_layouts(features, [*GROUPS, make_group("recent", "last")])
    names = {data_group: list(layout.all_tables) for data_group, layout in layouts.items()}
    assert names == {BASE: ["user_emb", "item_emb"], NEG: ["neg.item_emb", "neg.sequence.item_emb"]}


def test_gradients_reach_the_tables_of_each_data_group() -> None:
    module = embedding_group()
    grouped = module(batch())
    (grouped["item"].sum() + 2 * grouped["user"].sum()).backward()
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    user = gradients["emb_impls.__BASE__.ebc.embedding_bags.user_emb.weight"]
    item = gradients["emb_impls.__NEG__.ebc.embedding_bags.item_emb.weight"]
    assert user is not None and user.sum(1).nonzero().flatten().tolist() == [3, 5, 6]
    assert item is not None and item.sum(1).nonzero().flatten().tolist() == [0, 1, 2, 4, 7]


def test_group_of_two_data_groups_is_rejected() -> None:
    group = FeatureGroupConfig(group_name="g", feature_names=["user", "item"], group_type=DEEP)
    with pytest.raises(ConfigError, match=r"data groups BASE \(user\), NEG \(item\), which have different"):
        EmbeddingGroup(FEATURES, [group])


def test_looked_up_columns_are_those_of_all_data_groups() -> None:
    module = embedding_group()
    columns = list(module.looked_up(module(batch())))
    assert [tuple(column.shape) for column in columns] == [(2, 4), (5, 4), (5, 3, 4)]


def test_sharded_groups_equal_unsharded_groups(alone: None) -> None:
    unsharded = embedding_group()
    expected = unsharded(batch())
    config = toy_model.config("adagrad_optimizer")
    config.train_config.seed = SEED
    model = nn.ModuleDict({"embedding_group": EmbeddingGroup(FEATURES, GROUPS, device=torch.device("meta"))})
    parallel = shard(model, config, torch.device("cpu"))
    sharded = parallel.module
    sharded["embedding_group"].dense_impls.load_state_dict(unsharded.dense_impls.state_dict())
    grouped = sharded["embedding_group"](batch())
    assert list(grouped) == list(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(grouped[name], tensor)
    names = [row.table for row in plan_rows(sharded, parallel.plan, config.train_config)]
    assert sorted(names) == ["item_emb", "sequence.item_emb", "user_emb"]
