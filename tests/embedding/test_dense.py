"""Dense embeddings in their groups, compared with single applications of the modules."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchrec import JaggedTensor, KeyedJaggedTensor, KeyedTensor

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


def test_piecewise_linear_features_with_as_many_edges_are_one_product() -> None:
    edges = {"r": (-1.0, 0.0, 1.0), "s": (0.0, 0.5, 2.0), "t": (0.0, 1.0)}
    features = {
        name: make_feature(name, dim=1, embedding=DenseEmbedding("piecewise_linear", 1, 4, edges=places))
        for name, places in edges.items()
    }
    module = EmbeddingGroup(features, [make_group("g", *"rts")])
    values = torch.tensor([[0.5, 0.25, 1.0], [-3.0, 1.0, 9.0]])  # of r, s and t
    inputs = Batch(rows=2, dense={BASE: KeyedTensor(list("rst"), [1, 1, 1], values)})
    of_three, of_two = (part.weight for part in module.dense_impls.embeddings)
    assert (of_three.shape, of_two.shape) == ((2, 2, 4), (1, 1, 4))
    r = torch.stack([of_three[0, 0] + 0.5 * of_three[0, 1], torch.zeros(4)])
    s = torch.stack([0.5 * of_three[1, 0], of_three[1, 0] + of_three[1, 1] / 3])
    t = torch.stack([of_two[0, 0], of_two[0, 0]])
    torch.testing.assert_close(module(inputs)["g"], torch.cat([r, t, s], 1))


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


ELEMENTS = {
    name: make_feature(name, dim=width, embedding=embedding, is_sequence=True)
    for name, width, embedding in (
        ("s__mlp", 2, DenseEmbedding("mlp", 2, 3)),
        ("s__soft", 1, DenseEmbedding("autodis", 1, 4, **SOFT)),
        ("s__plain", 1, None),
    )
}
ROWS = [[[0.5, -1.0], [2.0, 0.25]], [], [[1.5, 1.0]]]
"""Elements of three rows; features with one number take the first."""


def element_batch() -> Batch:
    lengths = torch.tensor([len(row) for row in ROWS], dtype=torch.int32)
    values = torch.tensor([element for row in ROWS for element in row])
    numbers = {name: JaggedTensor(values[:, : feature.dim], lengths=lengths) for name, feature in ELEMENTS.items()}
    return Batch(rows=3, element_values=numbers)


def soft_by_hand(module: Any, x: float) -> list[float]:
    """AutoDis of one number by loops in float64."""
    scale, mix, vectors = (p.detach().double()[0] for p in (module.scale, module.mix, module.vectors))
    raw = [x * float(scale[0, c]) for c in range(3)]
    hidden = [value if value > 0 else 0.01 * value for value in raw]
    scores = [sum(hidden[k] * float(mix[k, c]) for k in range(3)) + 0.8 * hidden[c] for c in range(3)]
    weights = [math.exp(score / 0.5) for score in scores]
    return [sum(weights[c] * float(vectors[c, d]) for c in range(3)) / sum(weights) for d in range(4)]


def test_elements_of_sequences_are_embedded_one_by_one() -> None:
    groups = [
        make_group("s", *ELEMENTS, group_type="SEQUENCE"),
        make_group("j", "s__mlp", group_type="JAGGED_SEQUENCE"),
    ]
    module = EmbeddingGroup(ELEMENTS, groups)
    linear, soft = module.dense_impls.elements
    weight = linear.weight.detach().double()[0]
    expected = torch.zeros(3, 2, 8, dtype=torch.float64)
    for row, elements in enumerate(ROWS):
        for t, (x, y) in enumerate(elements):
            mapped = [x * float(weight[0, d]) + y * float(weight[1, d]) for d in range(3)]
            expected[row, t] = torch.tensor([*mapped, *soft_by_hand(soft, x), x], dtype=torch.float64)
    grouped = module(element_batch())
    torch.testing.assert_close(grouped["s.sequence"].double(), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(grouped["j.sequence"].double(), expected[[0, 0, 2], [0, 1, 0], :3], atol=1e-6, rtol=1e-5)
    assert module.dims.sequences == {"s": (0, 8), "j": (0, 3)}
    assert {name: tuple(value.shape) for name, value in module.dense_impls.named_parameters()} == {
        "elements.0.weight": (1, 2, 3),
        "elements.1.scale": (1, 1, 3),
        "elements.1.mix": (1, 3, 3),
        "elements.1.vectors": (1, 3, 4),
    }
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(element_batch())["s.sequence"], grouped["s.sequence"])


def test_gradients_of_embedded_elements_add_up_over_groups() -> None:
    groups = [make_group("s", "s__mlp", group_type="SEQUENCE"), make_group("j", "s__mlp", group_type="JAGGED_SEQUENCE")]
    module = EmbeddingGroup(ELEMENTS, groups)
    grouped = module(element_batch())
    (grouped["s.sequence"].sum() + grouped["j.sequence"].sum()).backward()
    (linear,) = module.dense_impls.elements
    torch.testing.assert_close(linear.weight.grad[0], 2 * torch.tensor([[4.0] * 3, [0.25] * 3]))


def test_batch_without_elements_has_embedded_zeros() -> None:
    module = EmbeddingGroup(ELEMENTS, [make_group("s", *ELEMENTS, group_type="SEQUENCE")])
    empty = torch.zeros(3, dtype=torch.int32)
    numbers = {name: JaggedTensor(torch.zeros(0, f.dim), lengths=empty) for name, f in ELEMENTS.items()}
    assert torch.equal(module(Batch(rows=3, element_values=numbers))["s.sequence"], torch.zeros(3, 1, 8))
