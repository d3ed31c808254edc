"""Sequence groups against vectors that are looked up and put in their places one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.embedding.stepped import FEATURES, ITEM, SEED, batch, feature, group, padded, queries, table_of
from tzrec.data.batch import BASE
from tzrec.data.collate import collate
from tzrec.embedding.group import EmbeddingGroup
from tzrec.embedding.sequence_lookup import pool
from tzrec.features.column import Column
from tzrec.protos.model_pb2 import FeatureGroupConfig


def made(*groups: FeatureGroupConfig) -> EmbeddingGroup:
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
def test_a_group_is_its_features_side_by_side(names: list[str]) -> None:
    embedding = made(group("g", *names))
    grouped = embedding(batch())
    single = [name for name in names if not FEATURES[name].is_sequence]
    stepped = [name for name in names if FEATURES[name].is_sequence]
    assert set(grouped) == {"g.sequence", "g.sequence_length"} | ({"g.query"} if single else set())
    if single:
        torch.testing.assert_close(grouped["g.query"], queries(single))
    torch.testing.assert_close(grouped["g.sequence"], padded(stepped, 3))
    assert grouped["g.sequence_length"].tolist() == [2, 0, 3]
    query = grouped["g.query"].shape[1] if single else 0
    assert embedding.dims.sequences == {"g": (query, grouped["g.sequence"].shape[2])}
    assert dict(embedding.dims) == {}


def test_shorter_features_are_filled_up_with_zeros() -> None:
    grouped = made(group("g", "other", "h__item"))(batch())
    torch.testing.assert_close(grouped["g.sequence"], padded(["other", "h__item"], 3))
    assert grouped["g.sequence_length"].tolist() == [2, 2, 3]


def test_jagged_groups_follow_each_other_without_padding() -> None:
    grouped = made(group("g", "item", "other", "h__item", kind="JAGGED_SEQUENCE"))(batch())
    rows = padded(["other", "h__item"], 3)
    expected = torch.cat([rows[row, :length] for row, length in enumerate([2, 2, 3])])
    torch.testing.assert_close(grouped["g.sequence"], expected)
    torch.testing.assert_close(grouped["g.query"], queries(["item"]))
    assert grouped["g.sequence_length"].tolist() == [2, 2, 3]


def test_no_steps_at_all_leave_one_empty_place() -> None:
    none = Column(np.zeros(0, np.int64), sequence_lengths=np.zeros(2, np.int32))
    grouped = made(group("g", "h__item"))(collate({"h__item": none}, 2))
    assert torch.equal(grouped["g.sequence"], torch.zeros(2, 1, 4))
    assert grouped["g.sequence_length"].tolist() == [0, 0]


def test_a_query_and_steps_that_name_one_table_share_it() -> None:
    """Row 9 is read twice by steps, row 3 once by a step and once by the query."""
    embedding = made(group("g", "item", "h__item"))
    grouped = embedding(batch())
    (grouped["g.query"].sum() + grouped["g.sequence"].sum()).backward()
    grad = embedding.seq_emb_impls[BASE].ec_dict["4"].embeddings["item_emb"].weight.grad
    assert grad[:, 0].tolist() == [0, 1, 1, 2, 1, 1, 0, 0, 0, 2]


def test_gradients_of_means_are_shared_out() -> None:
    """Step [4, 4, 0] gives each of its ids a third."""
    embedding = made(group("g", "h__tags"))
    embedding(batch())["g.sequence"][2, 1].sum().backward()
    grad = embedding.seq_emb_impls[BASE].ec_dict["8"].embeddings["tags_emb"].weight.grad
    torch.testing.assert_close(grad[:, 0], torch.tensor([1, 0, 0, 0, 2, 0]) / 3)


def test_tables_of_sequences_are_others_than_bags() -> None:
    embedding = made(group("deep", "item", "tags", kind="DEEP"), group("g", "item", "h__item", "h__tags"))
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


def test_one_feature_in_two_tables() -> None:
    grouped = made(group("g", "item", "h__item"), group("own", "item", "h__item", suffix="b"))(batch())
    for name, suffix in (("g", ""), ("own", "_b")):
        torch.testing.assert_close(grouped[f"{name}.query"], queries(["item"], suffix))
        torch.testing.assert_close(grouped[f"{name}.sequence"], padded(["h__item"], 3, suffix))
    assert not torch.equal(table_of("item"), table_of("item", "_b"))


def test_half_precision_tables_yield_singles() -> None:
    half = {"h__item": feature("h__item", replace(ITEM, data_type="FP16"), steps=True)}
    torch.manual_seed(SEED)
    grouped = EmbeddingGroup(half, [group("g", "h__item")])(batch("h__item"))
    torch.testing.assert_close(grouped["g.sequence"][2, 2], table_of("item")[3].half().float(), atol=0, rtol=0)


@pytest.mark.parametrize("mean", [False, True])
def test_pool(mean: bool) -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    pooled = pool(values, torch.tensor([2, 0, 1]), mean)
    assert pooled.tolist() == [[2.0, 3.0] if mean else [4.0, 6.0], [0.0, 0.0], [5.0, 6.0]]


@pytest.mark.parametrize("kind", ["SEQUENCE", "JAGGED_SEQUENCE"])
def test_what_tables_put_into_the_groups(kind: str) -> None:
    """Steps and features of the row, but neither numbers nor what encoders make of the sequences of a DEEP group."""
    deep = group("d", "user", "price", kind="DEEP")
    deep.sequence_groups.add(group_name="e", feature_names=["h__kinds"])
    deep.sequence_encoders.add().pooling_encoder.input = "e"
    embedding = made(deep, group("g", "item", "price", "h__price", "h__item", kind=kind))
    grouped = embedding(batch())
    found = list(embedding.looked_up(grouped))
    steps = grouped["g.sequence"][..., 2:]
    assert len(found) == 3
    for part, right in zip(found, (grouped["d"][:, :4], grouped["g.query"][:, :4], steps), strict=True):
        torch.testing.assert_close(part, right, rtol=0, atol=0)
    tables = [torch.cat([queries(["user"]), queries(["item"])]), padded(["h__item"], 3)]
    expected = sum(each.square().sum() for each in tables)
    torch.testing.assert_close(sum(each.square().sum() for each in found), expected)
