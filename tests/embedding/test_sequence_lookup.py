"""Sequence groups compared with vectors that are looked up and padded one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.fixtures.feature_groups import make_feature, make_group
from tests.fixtures.sequence_batch import FEATURES, ITEM, SEED, batch, padded, queries, table_of
from tzrec.data.batch import BASE
from tzrec.data.collate import collate
from tzrec.embedding.group import EmbeddingGroup
from tzrec.embedding.sequence_lookup import pool
from tzrec.features.column import Column
from tzrec.protos.model_pb2 import FeatureGroupConfig


def build(*groups: FeatureGroupConfig) -> EmbeddingGroup:
    torch.manual_seed(SEED)
    return EmbeddingGroup(FEATURES, groups)


@pytest.mark.parametrize(
    "names",
    [
        ["item", "h__item"],
        ["h__item", "tags", "h__tags", "item"],
        ["price", "h__price", "h__kinds"],
        ["h__price"],
        ["h__kinds", "h__tags", "h__item", "h__price", "price", "user"],
    ],
    ids=str,
)
def test_sequence_group_concatenates_features(names: list[str]) -> None:
    embedding = build(make_group("g", *names, group_type="SEQUENCE"))
    grouped = embedding(batch())
    row_features = [name for name in names if not FEATURES[name].is_sequence]
    sequences = [name for name in names if FEATURES[name].is_sequence]
    assert set(grouped) == {"g.sequence", "g.sequence_length"} | ({"g.query"} if row_features else set())
    if row_features:
        torch.testing.assert_close(grouped["g.query"], queries(row_features))
    torch.testing.assert_close(grouped["g.sequence"], padded(sequences, 3))
    assert grouped["g.sequence_length"].tolist() == [2, 0, 3]
    query = grouped["g.query"].shape[1] if row_features else 0
    assert embedding.dims.sequences == {"g": (query, grouped["g.sequence"].shape[2])}
    assert dict(embedding.dims) == {}


def test_shorter_features_are_padded_with_zeros() -> None:
    grouped = build(make_group("g", "other", "h__item", group_type="SEQUENCE"))(batch())
    torch.testing.assert_close(grouped["g.sequence"], padded(["other", "h__item"], 3))
    assert grouped["g.sequence_length"].tolist() == [2, 2, 3]


def test_jagged_group_has_no_padding() -> None:
    grouped = build(make_group("g", "item", "other", "h__item", group_type="JAGGED_SEQUENCE"))(batch())
    rows = padded(["other", "h__item"], 3)
    expected = torch.cat([rows[row, :length] for row, length in enumerate([2, 2, 3])])
    torch.testing.assert_close(grouped["g.sequence"], expected)
    torch.testing.assert_close(grouped["g.query"], queries(["item"]))
    assert grouped["g.sequence_length"].tolist() == [2, 2, 3]
    assert grouped["g.rows"].tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert grouped["g.positions"].tolist() == [0, 1, 0, 1, 0, 1, 2]


def test_batch_without_elements_has_one_empty_position() -> None:
    none = Column(np.zeros(0, np.int64), sequence_lengths=np.zeros(2, np.int32))
    grouped = build(make_group("g", "h__item", group_type="SEQUENCE"))(collate({"h__item": none}, 2))
    assert torch.equal(grouped["g.sequence"], torch.zeros(2, 1, 4))
    assert grouped["g.sequence_length"].tolist() == [0, 0]


def test_query_and_elements_share_table() -> None:
    """Row 9 is read by two elements, row 3 by one element and by the query."""
    embedding = build(make_group("g", "item", "h__item", group_type="SEQUENCE"))
    grouped = embedding(batch())
    (grouped["g.query"].sum() + grouped["g.sequence"].sum()).backward()
    grad = embedding.seq_emb_impls[BASE].ec_dict["4"].embeddings["item_emb"].weight.grad
    assert grad[:, 0].tolist() == [0, 1, 1, 2, 1, 1, 0, 0, 0, 2]


def test_gradient_of_mean_is_divided_among_ids() -> None:
    """Each id of element [4, 4, 0] gets a third."""
    embedding = build(make_group("g", "h__tags", group_type="SEQUENCE"))
    embedding(batch())["g.sequence"][2, 1].sum().backward()
    grad = embedding.seq_emb_impls[BASE].ec_dict["8"].embeddings["tags_emb"].weight.grad
    torch.testing.assert_close(grad[:, 0], torch.tensor([1, 0, 0, 0, 2, 0]) / 3)


def test_tables_of_sequence_groups_are_separate() -> None:
    embedding = build(
        make_group("deep", "item", "tags"), make_group("g", "item", "h__item", "h__tags", group_type="SEQUENCE")
    )
    assert {name: tuple(value.shape) for name, value in embedding.named_parameters()} == {
        "emb_impls.__BASE__.ebc.embedding_bags.item_emb.weight": (10, 4),
        "emb_impls.__BASE__.ebc.embedding_bags.tags_emb.weight": (6, 8),
        "seq_emb_impls.__BASE__.ec_dict.4.embeddings.item_emb.weight": (10, 4),
        "seq_emb_impls.__BASE__.ec_dict.8.embeddings.tags_emb.weight": (6, 8),
    }
    grouped = embedding(batch())
    assert list(grouped) == ["deep", "g.query", "g.sequence", "g.sequence_length"]
    grouped["g.sequence"].sum().backward()
    assert embedding.emb_impls[BASE].ebc.embedding_bags["item_emb"].weight.grad is None


def test_feature_in_two_tables_is_looked_up_in_both() -> None:
    grouped = build(
        make_group("g", "item", "h__item", group_type="SEQUENCE"),
        make_group("own", "item", "h__item", suffix="b", group_type="SEQUENCE"),
    )(batch())
    for name, suffix in (("g", ""), ("own", "_b")):
        torch.testing.assert_close(grouped[f"{name}.query"], queries(["item"], suffix))
        torch.testing.assert_close(grouped[f"{name}.sequence"], padded(["h__item"], 3, suffix))
    assert not torch.equal(table_of("item"), table_of("item", "_b"))


def test_half_precision_tables_return_float32() -> None:
    half = {"h__item": make_feature("h__item", replace(ITEM, data_type="FP16"), is_sequence=True)}
    torch.manual_seed(SEED)
    grouped = EmbeddingGroup(half, [make_group("g", "h__item", group_type="SEQUENCE")])(batch("h__item"))
    torch.testing.assert_close(grouped["g.sequence"][2, 2], table_of("item")[3].half().float(), atol=0, rtol=0)


@pytest.mark.parametrize("mean", [False, True])
def test_pool_returns_sums_or_means(mean: bool) -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    pooled = pool(values, torch.tensor([2, 0, 1]), mean)
    assert pooled.tolist() == [[2.0, 3.0] if mean else [4.0, 6.0], [0.0, 0.0], [5.0, 6.0]]


@pytest.mark.parametrize("kind", ["SEQUENCE", "JAGGED_SEQUENCE"])
def test_looked_up_columns_exclude_dense_values_and_encodings(kind: str) -> None:
    """Elements and features of the row, but neither dense values nor outputs of encoders."""
    deep = make_group("d", "user", "price")
    deep.sequence_groups.add(group_name="e", feature_names=["h__kinds"])
    deep.sequence_encoders.add().pooling_encoder.input = "e"
    embedding = build(deep, make_group("g", "item", "price", "h__price", "h__item", group_type=kind))
    grouped = embedding(batch())
    columns = list(embedding.looked_up(grouped))
    elements = grouped["g.sequence"][..., 2:]
    assert len(columns) == 3
    for column, expected in zip(columns, (grouped["d"][:, :4], grouped["g.query"][:, :4], elements), strict=True):
        torch.testing.assert_close(column, expected, rtol=0, atol=0)
    tables = [torch.cat([queries(["user"]), queries(["item"])]), padded(["h__item"], 3)]
    squares = sum(table.square().sum() for table in tables)
    torch.testing.assert_close(sum(column.square().sum() for column in columns), squares)
