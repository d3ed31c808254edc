"""Embedded numbers in their groups, against the modules taken one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor, KeyedTensor

from tzrec.data.batch import BASE, Batch
from tzrec.embedding.group import EmbeddingGroup
from tzrec.features.base import DenseEmbedding, Feature, Table
from tzrec.protos.model_pb2 import DEEP, FeatureGroupConfig

SOFT = {"num_channels": 3, "temperature": 0.5, "keep_prob": 0.8}
WIDTHS = {"unused": 2, "a": 1, "p": 2, "x": 1, "b": 1, "c": 1, "q": 1}


def feature(name: str, dim: int = 0, embedding: DenseEmbedding | None = None) -> Feature:
    made = Feature()
    made.name, made.dim, made.embedding, made.is_sparse = name, dim, embedding, not dim
    made.table = None if dim else Table(f"{name}_emb", 10, 4)
    return made


FEATURES = {
    each.name: each
    for each in (
        feature("unused", 2),
        feature("a", 1, DenseEmbedding("autodis", 1, 4, **SOFT)),
        feature("p", 2, DenseEmbedding("mlp", 2, 4)),
        feature("x", 1),
        feature("b", 1, DenseEmbedding("autodis", 1, 4, **SOFT)),
        feature("c", 1, DenseEmbedding("autodis", 1, 4, **SOFT | {"num_channels": 2})),
        feature("q", 1, DenseEmbedding("mlp", 1, 4)),
        feature("i"),
    )
}


def group(name: str, features: str, suffix: str = "") -> FeatureGroupConfig:
    return FeatureGroupConfig(
        group_name=name, feature_names=list(features), group_type=DEEP, embedding_name_suffix=suffix
    )


def batch(names: list[str] | None = None) -> Batch:
    values = torch.randn(5, 9, generator=torch.Generator().manual_seed(2))
    whole = KeyedTensor(list(WIDTHS), list(WIDTHS.values()), values)
    names = names or list(WIDTHS)
    dense = KeyedTensor(names, [WIDTHS[name] for name in names], torch.cat([whole[name] for name in names], 1))
    ids = KeyedJaggedTensor(["i"], torch.arange(5), lengths=torch.ones(5, dtype=torch.int32))
    return Batch(rows=5, dense={BASE: dense}, sparse={BASE: ids})


def column(batch: Batch, name: str) -> Tensor:
    return batch.dense[BASE][name]


def one(module: Any, field: int, x: Tensor) -> Tensor:
    """One field of a module alone."""
    alone = torch.nn.ParameterDict({key: value[field : field + 1] for key, value in module.named_parameters()})
    return torch.func.functional_call(module, dict(alone), (x,))


@pytest.mark.parametrize("names", [None, ["q", "c", "p", "b", "x", "a"]])
def test_groups_list_them_in_order(names: list[str] | None) -> None:
    made = EmbeddingGroup(FEATURES, [group("g", "ixbap"), group("h", "qca")])
    soft, linear, narrow, sharp = made.dense_impls.embeddings  # as groups first need them: b and a, p, q, c
    given = batch(names)
    grouped = made(given)
    ids = made.emb_impls[BASE](given.sparse[BASE])[0].values()
    b, a = one(soft, 0, column(given, "b")), one(soft, 1, column(given, "a"))
    p, q, c = linear(column(given, "p")), narrow(column(given, "q")), sharp(column(given, "c"))
    torch.testing.assert_close(grouped["g"], torch.cat([ids, column(given, "x"), b, a, p], 1))
    torch.testing.assert_close(grouped["h"], torch.cat([q, c, a], 1))
    assert made.dims.features("g") == [4, 1, 4, 4, 4]
    assert {name: tuple(each.shape) for name, each in made.dense_impls.named_parameters()} == {
        "embeddings.0.scale": (2, 1, 3),
        "embeddings.0.mix": (2, 3, 3),
        "embeddings.0.vectors": (2, 3, 4),
        "embeddings.1.weight": (1, 2, 4),
        "embeddings.2.weight": (1, 1, 4),
        "embeddings.3.scale": (1, 1, 2),
        "embeddings.3.mix": (1, 2, 2),
        "embeddings.3.vectors": (1, 2, 4),
    }


def test_a_suffix_makes_an_embedding_of_its_own() -> None:
    made = EmbeddingGroup(FEATURES, [group("g", "a"), group("h", "ab", "u"), group("k", "a", "u")])
    given = batch()
    grouped = made(given)
    (soft,) = made.dense_impls.embeddings
    assert soft.scale.shape == (3, 1, 3)  # a, a@u, b@u
    assert not torch.equal(grouped["g"], grouped["h"][:, :4])
    assert torch.equal(grouped["k"], grouped["h"][:, :4])


def test_half_precision_does_not_reach_them() -> None:
    made = EmbeddingGroup(FEATURES, [group("g", "abpq")])
    expected = made(batch())["g"]
    with torch.autocast("cpu", torch.bfloat16):
        received = made(batch())["g"]
    assert received.dtype == torch.float32
    assert torch.equal(received, expected)


def test_gradients_reach_the_fields_of_the_groups() -> None:
    made = EmbeddingGroup(FEATURES, [group("g", "pq"), group("h", "q")])
    given = batch()
    grouped = made(given)
    (grouped["g"].sum() + grouped["h"].sum()).backward()
    of_p, of_q = (each.weight.grad[0] for each in made.dense_impls.embeddings)
    torch.testing.assert_close(of_p, column(given, "p").sum(0)[:, None].expand(2, 4))
    torch.testing.assert_close(of_q, 2 * column(given, "q").sum(0)[:, None].expand(1, 4))
