"""Dense embeddings in their groups, compared with single applications of the modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor, KeyedTensor

from tests.fixtures.feature_groups import make_feature, make_group
from tzrec.data.batch import BASE, Batch
from tzrec.embedding.group import EmbeddingGroup
from tzrec.features.base import DenseEmbedding, Table

SOFT = {"num_channels": 3, "temperature": 0.5, "keep_prob": 0.8}
WIDTHS = {"unused": 2, "a": 1, "p": 2, "x": 1, "b": 1, "c": 1, "q": 1}


FEATURES = {
    feature.name: feature
    for feature in (
        make_feature("unused", dim=2),
        make_feature("a", dim=1, embedding=DenseEmbedding("autodis", 1, 4, **SOFT)),
        make_feature("p", dim=2, embedding=DenseEmbedding("mlp", 2, 4)),
        make_feature("x", dim=1),
        make_feature("b", dim=1, embedding=DenseEmbedding("autodis", 1, 4, **SOFT)),
        make_feature("c", dim=1, embedding=DenseEmbedding("autodis", 1, 4, **SOFT | {"num_channels": 2})),
        make_feature("q", dim=1, embedding=DenseEmbedding("mlp", 1, 4)),
        make_feature("i", Table("i_emb", 10, 4)),
    )
}


def batch(names: list[str] | None = None) -> Batch:
    values = torch.randn(5, 9, generator=torch.Generator().manual_seed(2))
    columns = KeyedTensor(list(WIDTHS), list(WIDTHS.values()), values)
    names = names or list(WIDTHS)
    dense = KeyedTensor(names, [WIDTHS[name] for name in names], torch.cat([columns[name] for name in names], 1))
    ids = KeyedJaggedTensor(["i"], torch.arange(5), lengths=torch.ones(5, dtype=torch.int32))
    return Batch(rows=5, dense={BASE: dense}, sparse={BASE: ids})


def column(batch: Batch, name: str) -> Tensor:
    return batch.dense[BASE][name]


def apply_field(module: Any, field: int, x: Tensor) -> Tensor:
    """Apply a single field of a module."""
    parameters = torch.nn.ParameterDict({key: value[field : field + 1] for key, value in module.named_parameters()})
    return torch.func.functional_call(module, dict(parameters), (x,))


@pytest.mark.parametrize("names", [None, ["q", "c", "p", "b", "x", "a"]])
def test_groups_list_dense_embeddings_in_order(names: list[str] | None) -> None:
    module = EmbeddingGroup(FEATURES, [make_group("g", *"ixbap"), make_group("h", *"qca")])
    soft, linear, narrow, sharp = module.dense_impls.embeddings  # as groups first need them: b and a, p, q, c
    inputs = batch(names)
    grouped = module(inputs)
    lookup = module.emb_impls[BASE]
    ids = lookup(lookup.inputs(inputs.sparse[BASE]))[0].values()
    b, a = apply_field(soft, 0, column(inputs, "b")), apply_field(soft, 1, column(inputs, "a"))
    p, q, c = linear(column(inputs, "p")), narrow(column(inputs, "q")), sharp(column(inputs, "c"))
    torch.testing.assert_close(grouped["g"], torch.cat([ids, column(inputs, "x"), b, a, p], 1))
    torch.testing.assert_close(grouped["h"], torch.cat([q, c, a], 1))
    assert module.dims.features("g") == [4, 1, 4, 4, 4]
    assert {name: tuple(value.shape) for name, value in module.dense_impls.named_parameters()} == {
        "embeddings.0.scale": (2, 1, 3),
        "embeddings.0.mix": (2, 3, 3),
        "embeddings.0.vectors": (2, 3, 4),
        "embeddings.1.weight": (1, 2, 4),
        "embeddings.2.weight": (1, 1, 4),
        "embeddings.3.scale": (1, 1, 2),
        "embeddings.3.mix": (1, 2, 2),
        "embeddings.3.vectors": (1, 2, 4),
    }


def test_suffix_makes_separate_dense_embedding() -> None:
    groups = [make_group("g", "a"), make_group("h", "a", "b", suffix="u"), make_group("k", "a", suffix="u")]
    module = EmbeddingGroup(FEATURES, groups)
    inputs = batch()
    grouped = module(inputs)
    (soft,) = module.dense_impls.embeddings
    assert soft.scale.shape == (3, 1, 3)  # a, a@u, b@u
    assert not torch.equal(grouped["g"], grouped["h"][:, :4])
    assert torch.equal(grouped["k"], grouped["h"][:, :4])


def test_dense_embeddings_ignore_autocast() -> None:
    module = EmbeddingGroup(FEATURES, [make_group("g", *"abpq")])
    expected = module(batch())["g"]
    with torch.autocast("cpu", torch.bfloat16):
        received = module(batch())["g"]
    assert received.dtype == torch.float32
    assert torch.equal(received, expected)


def test_gradients_of_dense_embedding_in_two_groups_add_up() -> None:
    module = EmbeddingGroup(FEATURES, [make_group("g", *"pq"), make_group("h", *"q")])
    inputs = batch()
    grouped = module(inputs)
    (grouped["g"].sum() + grouped["h"].sum()).backward()
    of_p, of_q = (linear.weight.grad[0] for linear in module.dense_impls.embeddings)
    torch.testing.assert_close(of_p, column(inputs, "p").sum(0)[:, None].expand(2, 4))
    torch.testing.assert_close(of_q, 2 * column(inputs, "q").sum(0)[:, None].expand(1, 4))
