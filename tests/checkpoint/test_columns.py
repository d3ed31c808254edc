"""First layers of a model whose feature groups have grown."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.checkpoint.conftest import Save
from tzrec.checkpoint.columns import column_maps, find_maps
from tzrec.checkpoint.restore import restore

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")

BEFORE = {"deep": [("user", 2), ("item", 1)], "wide": [("user", 1)]}
NOW = {"deep": [("user", 2), ("brand", 2), ("item", 1)], "wide": [("user", 1)]}


def test_column_maps_match_features_by_name() -> None:
    (deep,) = column_maps(BEFORE, NOW)
    assert (deep.group, deep.size_before, deep.size) == ("deep", 3, 5)
    assert (deep.source, deep.target, deep.new) == ((0, 1, 2), (0, 1, 4), ("brand",))
    (reordered,) = column_maps({"g": [["a", 1], ["b", 2]]}, {"g": [["b", 2], ["a", 1]]})
    assert (reordered.source, reordered.target) == ((1, 2, 0), (0, 1, 2))


def test_find_maps_of_size_that_no_group_explains_is_none() -> None:
    maps = column_maps(BEFORE, NOW)
    assert find_maps(maps, (8, 3), (8, 5)) == [None, maps[0]]
    assert find_maps(maps, (8, 3), (9, 5)) is None
    assert find_maps(maps, (3,), (3, 5)) is None
    other = column_maps({"g": [("a", 1), ("b", 2)]}, {"g": [("a", 1), ("c", 2), ("b", 2)]})
    assert find_maps([*maps, *other], (8, 3), (8, 5)) is None, "two groups explain it in two ways"


def test_restore_with_column_maps_copies_known_columns(tmp_path: Path, save: Save) -> None:
    weight, gate = torch.arange(6.0).reshape(2, 3), torch.arange(9.0).reshape(3, 3)
    path = save(1, 2.0, first=weight, gate=gate, norm=torch.tensor([1.0, 2.0, 3.0])).path / "model"
    targets = {"first": torch.full((2, 5), -1.0), "gate": torch.full((5, 5), -1.0), "norm": torch.full((5,), -1.0)}
    result = restore(path, targets, column_maps=column_maps(BEFORE, NOW))
    assert result.problems == []
    assert result.remapped["first"] == '3 of 5 columns of group "deep" restored; new: brand'
    assert targets["first"].tolist() == [[0, 1, -1, -1, 2], [3, 4, -1, -1, 5]]
    assert targets["norm"].tolist() == [1, 2, -1, -1, 3]
    assert targets["gate"][[0, 1, 4]][:, [0, 1, 4]].tolist() == gate.tolist()
    assert targets["gate"].sum() == gate.sum() - 16


def test_restore_with_other_columns_of_same_width_skips_layer(tmp_path: Path, save: Save) -> None:
    path = save(1, 2.0, first=torch.ones(2, 3)).path / "model"
    targets = {"first": torch.zeros(2, 3), "bias": torch.zeros(2)}
    swapped = {"deep": [("item", 1), ("user", 2)]}
    result = restore(path, targets, column_maps=column_maps(BEFORE, swapped))
    assert result.problems == ["first: a feature group has other columns of the same width"]
    assert targets["first"].sum() == 0
    assert targets["bias"].tolist() == [2, -2]
