"""Groups of an unsharded EmbeddingGroup compared with bags pooled one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor, KeyedTensor

from tests.fixtures.feature_groups import make_feature, make_group
from tzrec.data.batch import BASE, Batch
from tzrec.embedding.group import Dims, EmbeddingGroup
from tzrec.features.base import Table
from tzrec.tables.initialization import init_table

FEATURES = {
    "a": make_feature("a", Table("ids", 10, 4)),
    "b": make_feature("b", Table("b_emb", 6, 8, pooling="mean")),
    "c": make_feature("c", Table("ids", 10, 4)),
    "w": make_feature("w", Table("w_emb", 5, 4), is_weighted=True),
    "m": make_feature("m", Table("m_emb", 5, 4, pooling="mean"), is_weighted=True),
    "x": make_feature("x", dim=2),
    "y": make_feature("y", dim=1),
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


def table(name: str) -> Tensor:
    config = next(f.table for f in FEATURES.values() if f.table and f.table.name == name)
    return init_table(torch.empty(config.rows, config.dim), config, seed=1)


def pooled(name: str) -> Tensor:
    """(3, D) of one feature, bag by bag."""
    config = FEATURES[name].table
    if config is None:
        return torch.tensor(DENSE[name])
    rows, bags = table(config.name), []
    for position, ids in enumerate(IDS[name]):
        weights = WEIGHTS[name][position] if name in WEIGHTS else [1.0] * len(ids)
        bag = torch.zeros(config.dim)
        for i, weight in zip(ids, weights, strict=True):
            bag += weight * rows[i]
        bags.append(bag / sum(weights) if config.pooling == "mean" and ids else bag)
    return torch.stack(bags)


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
def test_groups_concatenate_features_in_listed_order(columns: str, groups: dict[str, str]) -> None:
    torch.manual_seed(1)
    module = EmbeddingGroup(FEATURES, [make_group(name, *features) for name, features in groups.items()])
    grouped = module(batch(columns))
    assert list(grouped) == list(groups)
    for name, features in groups.items():
        torch.testing.assert_close(grouped[name], torch.cat([pooled(feature) for feature in features], 1))
        assert module.dims[name] == grouped[name].shape[1]


def test_unweighted_feature_in_weighted_table_has_weight_one() -> None:
    torch.manual_seed(1)
    shared = {"w": make_feature("w", Table("t", 5, 4), is_weighted=True), "a": make_feature("a", Table("t", 5, 4))}
    module = EmbeddingGroup(shared, [make_group("g", *"aw")])
    ids = KeyedJaggedTensor(
        ["w", "a"], torch.tensor([3, 4, 0]), weights=torch.tensor([0.5, 1.0, 1.0]), lengths=torch.tensor([1, 2])
    )
    rows = init_table(torch.empty(5, 4), Table("t", 5, 4), 1)
    grouped = module(Batch(rows=1, sparse={BASE: ids}))
    torch.testing.assert_close(grouped["g"], torch.cat([rows[4] + rows[0], 0.5 * rows[3]]).unsqueeze(0))


def test_weighted_mean_of_total_weight_zero_is_weighted_sum() -> None:
    torch.manual_seed(1)
    module = EmbeddingGroup(FEATURES, [make_group("g", *"m")])
    ids = KeyedJaggedTensor(["m"], torch.tensor([0, 1]), weights=torch.tensor([1.0, -1.0]), lengths=torch.tensor([2]))
    rows = table("m_emb")
    torch.testing.assert_close(module(Batch(rows=1, sparse={BASE: ids}))["g"], (rows[0] - rows[1]).unsqueeze(0))


def test_feature_in_two_tables_is_looked_up_in_both() -> None:
    torch.manual_seed(1)
    groups = [make_group("deep", "b", "a"), make_group("wide", "a", "b", group_type="WIDE")]
    module = EmbeddingGroup(FEATURES, groups, wide_dim=4, wide_init_fn="nn.init.constant_,val=0.5")
    grouped = module(batch("ab"))
    torch.testing.assert_close(grouped["deep"], torch.cat([pooled("b"), pooled("a")], 1))
    counts = torch.tensor([[2.0] * 4 + [1.0] * 4, [0.0] * 4 + [1.0] * 4, [1.0] * 4 + [0.0] * 4])  # b is a mean
    torch.testing.assert_close(grouped["wide"], 0.5 * counts)


def test_gradients_of_shared_table_add_up() -> None:
    """Row 2 of "ids" is read once by a and three times by c."""
    module = EmbeddingGroup(FEATURES, [make_group("g", *"ac")])
    module(batch("ac"))["g"].sum().backward()
    grad = module.emb_impls[BASE].ebc.embedding_bags["ids"].weight.grad
    assert grad[:, 0].tolist() == [0, 1, 4, 0, 0, 0, 0, 0, 0, 1]


def test_parameters_are_named_by_table() -> None:
    module = EmbeddingGroup(FEATURES, [make_group("g", *"abcw")], device=torch.device("meta"))
    assert {name: tuple(value.shape) for name, value in module.named_parameters()} == {
        "emb_impls.__BASE__.ebc.embedding_bags.ids.weight": (10, 4),
        "emb_impls.__BASE__.ebc.embedding_bags.b_emb.weight": (6, 8),
        "emb_impls.__BASE__.weighted_ebc.embedding_bags.w_emb.weight": (5, 4),
    }
    assert all(value.is_meta for value in module.parameters())


def test_half_precision_tables_return_float32() -> None:
    torch.manual_seed(1)
    config = Table("h", 5, 4, data_type="FP16")
    module = EmbeddingGroup({"h": make_feature("h", config)}, [make_group("g", *"h")])
    ids = KeyedJaggedTensor(["h"], torch.tensor([3]), lengths=torch.tensor([1]))
    grouped = module(Batch(rows=1, sparse={BASE: ids}))["g"]
    assert grouped.dtype == torch.float32
    assert torch.equal(grouped, init_table(torch.empty(5, 4), config, 1)[3:4].half().float())


def test_dims_of_groups_and_features() -> None:
    dims = Dims({"g": [4, 2], "h": [8]})
    assert dict(dims) == {"g": 6, "h": 8}
    assert dims.only() == ("g", 6)
    assert dims.features("g") == [4, 2]
