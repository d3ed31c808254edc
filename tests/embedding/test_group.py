"""Groups of an unsharded EmbeddingGroup against bags pooled one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor, KeyedTensor

from tzrec.data.batch import BASE, Batch
from tzrec.embedding.group import Dims, EmbeddingGroup
from tzrec.features.base import Feature, Table
from tzrec.protos.model_pb2 import DEEP, WIDE, FeatureGroupConfig
from tzrec.tables.initialization import init_table


def feature(name: str, table: Table | None = None, dim: int = 0, weighted: bool = False) -> Feature:
    made = Feature()
    made.name, made.table, made.dim, made.is_sparse, made.is_weighted = name, table, dim, table is not None, weighted
    return made


FEATURES = {
    "a": feature("a", Table("ids", 10, 4)),
    "b": feature("b", Table("b_emb", 6, 8, pooling="mean")),
    "c": feature("c", Table("ids", 10, 4)),
    "w": feature("w", Table("w_emb", 5, 4), weighted=True),
    "m": feature("m", Table("m_emb", 5, 4, pooling="mean"), weighted=True),
    "x": feature("x", dim=2),
    "y": feature("y", dim=1),
}
IDS = {
    "a": [[1, 2], [], [9]],
    "b": [[0, 5, 5], [3], []],
    "c": [[2], [2], [2]],
    "w": [[4, 0], [1], []],
    "m": [[4, 0], [1], []],
}
WEIGHTS = {"w": [[0.5, 2.0], [-1.0], []], "m": [[1.0, 3.0], [0.5], []]}
DENSE = {"x": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], "y": [[7.0], [8.0], [9.0]]}


def batch(names: str, dense: str = "xy") -> Batch:
    lengths = torch.tensor([len(row) for name in names for row in IDS[name]], dtype=torch.int32)
    ids = torch.tensor([i for name in names for row in IDS[name] for i in row])
    flat = [
        w
        for name in names
        for row, of in zip(IDS[name], WEIGHTS.get(name, IDS[name]))
        for w in (of if name in WEIGHTS else [1.0] * len(row))
    ]
    weights = torch.tensor(flat) if set(names) & set(WEIGHTS) else None
    values = torch.tensor([[v for name in dense for v in DENSE[name][row]] for row in range(3)])
    return Batch(
        rows=3,
        sparse={BASE: KeyedJaggedTensor(list(names), ids, weights=weights, lengths=lengths)} if names else {},
        dense={BASE: KeyedTensor(list(dense), [len(DENSE[name][0]) for name in dense], values)} if dense else {},
    )


def table(name: str, **changes: object) -> Tensor:
    asked = next(f.table for f in FEATURES.values() if f.table and f.table.name == name)
    return init_table(torch.empty(asked.rows, asked.dim), asked, seed=1)


def pooled(name: str) -> Tensor:
    """(3, D) of one feature, bag by bag."""
    asked = FEATURES[name].table
    if asked is None:
        return torch.tensor(DENSE[name])
    rows, bags = table(asked.name), []
    for position, ids in enumerate(IDS[name]):
        weights = WEIGHTS[name][position] if name in WEIGHTS else [1.0] * len(ids)
        bag = torch.zeros(asked.dim)
        for i, weight in zip(ids, weights, strict=True):
            bag += weight * rows[i]
        bags.append(bag / sum(weights) if asked.pooling == "mean" and ids else bag)
    return torch.stack(bags)


def deep(name: str, features: str) -> FeatureGroupConfig:
    return FeatureGroupConfig(group_name=name, feature_names=list(features), group_type=DEEP)


@pytest.mark.parametrize(
    ("columns", "groups"),
    [
        ("abc", {"all": "abc"}),
        ("abc", {"all": "cbxya"}),
        ("cab", {"one": "ax", "two": "yab"}),
        ("abcwm", {"all": "wambcx"}),
        ("wm", {"all": "mw"}),
        ("abcwm", {"some": "b"}),
        ("", {"all": "yx"}),
    ],
)
def test_groups_are_features_side_by_side(columns: str, groups: dict[str, str]) -> None:
    torch.manual_seed(1)
    made = EmbeddingGroup(FEATURES, [deep(name, features) for name, features in groups.items()])
    grouped = made(batch(columns))
    assert list(grouped) == list(groups)
    for name, features in groups.items():
        torch.testing.assert_close(grouped[name], torch.cat([pooled(each) for each in features], 1))
        assert made.dims[name] == grouped[name].shape[1]


def test_an_unweighted_feature_in_a_weighted_table_counts_each_id_once() -> None:
    torch.manual_seed(1)
    shared = {"w": feature("w", Table("t", 5, 4), weighted=True), "a": feature("a", Table("t", 5, 4))}
    made = EmbeddingGroup(shared, [deep("g", "aw")])
    ids = KeyedJaggedTensor(
        ["w", "a"], torch.tensor([3, 4, 0]), weights=torch.tensor([0.5, 1.0, 1.0]), lengths=torch.tensor([1, 2])
    )
    rows = init_table(torch.empty(5, 4), Table("t", 5, 4), 1)
    grouped = made(Batch(rows=1, sparse={BASE: ids}))
    torch.testing.assert_close(grouped["g"], torch.cat([rows[4] + rows[0], 0.5 * rows[3]]).unsqueeze(0))


def test_a_weighted_mean_of_weight_zero_is_the_sum() -> None:
    """Nothing to divide by; the weights still decide."""
    torch.manual_seed(1)
    made = EmbeddingGroup(FEATURES, [deep("g", "m")])
    ids = KeyedJaggedTensor(["m"], torch.tensor([0, 1]), weights=torch.tensor([1.0, -1.0]), lengths=torch.tensor([2]))
    rows = table("m_emb")
    torch.testing.assert_close(made(Batch(rows=1, sparse={BASE: ids}))["g"], (rows[0] - rows[1]).unsqueeze(0))


def test_one_feature_in_two_tables() -> None:
    torch.manual_seed(1)
    wide = FeatureGroupConfig(group_name="wide", feature_names=["a", "b"], group_type=WIDE)
    made = EmbeddingGroup(FEATURES, [deep("deep", "ba"), wide], wide_dim=4, wide_init_fn="nn.init.constant_,val=0.5")
    grouped = made(batch("ab"))
    torch.testing.assert_close(grouped["deep"], torch.cat([pooled("b"), pooled("a")], 1))
    counts = torch.tensor([[2.0] * 4 + [1.0] * 4, [0.0] * 4 + [1.0] * 4, [1.0] * 4 + [0.0] * 4])  # b is a mean
    torch.testing.assert_close(grouped["wide"], 0.5 * counts)


def test_gradients_reach_the_rows() -> None:
    """Row 2 of "ids" is read once by a and three times by c."""
    made = EmbeddingGroup(FEATURES, [deep("g", "ac")])
    made(batch("ac"))["g"].sum().backward()
    grad = made.emb_impls[BASE].ebc.embedding_bags["ids"].weight.grad
    assert grad[:, 0].tolist() == [0, 1, 4, 0, 0, 0, 0, 0, 0, 1]


def test_parameters_have_their_names() -> None:
    made = EmbeddingGroup(FEATURES, [deep("g", "abcw")], device=torch.device("meta"))
    assert {name: tuple(value.shape) for name, value in made.named_parameters()} == {
        "emb_impls.__BASE__.ebc.embedding_bags.ids.weight": (10, 4),
        "emb_impls.__BASE__.ebc.embedding_bags.b_emb.weight": (6, 8),
        "emb_impls.__BASE__.weighted_ebc.embedding_bags.w_emb.weight": (5, 4),
    }
    assert all(value.is_meta for value in made.parameters())


def test_half_precision_tables_yield_singles() -> None:
    torch.manual_seed(1)
    asked = Table("h", 5, 4, data_type="FP16")
    made = EmbeddingGroup({"h": feature("h", asked)}, [deep("g", "h")])
    ids = KeyedJaggedTensor(["h"], torch.tensor([3]), lengths=torch.tensor([1]))
    grouped = made(Batch(rows=1, sparse={BASE: ids}))["g"]
    assert grouped.dtype == torch.float32
    assert torch.equal(grouped, init_table(torch.empty(5, 4), asked, 1)[3:4].half().float())


def test_dims() -> None:
    dims = Dims({"g": [4, 2], "h": [8]})
    assert dict(dims) == {"g": 6, "h": 8}
    assert dims.only() == ("g", 6)
    assert dims.features("g") == [4, 2]
