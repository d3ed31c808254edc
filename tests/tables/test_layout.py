"""Layouts: shared, wide and renamed tables, order of groups, and invalid groups."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.feature_groups import make_feature, make_group
from tzrec.errors import ConfigError
from tzrec.features.base import Feature, Table
from tzrec.protos.model_pb2 import SEQUENCE, WIDE, FeatureGroupConfig
from tzrec.tables.layout import Layout, LayoutEntry, build_layouts


def build_layout(features: dict[str, Feature], groups: list[FeatureGroupConfig], *wide: Any) -> Layout:
    (layout,) = build_layouts(features, groups, *wide).values()
    return layout


FEATURES = {
    "a": make_feature("a", Table("a_emb", 10, 8)),
    "b": make_feature("b", Table("ids", 50, 4, sharding_types=("row_wise",))),
    "c": make_feature("c", Table("ids", 50, 4, sharding_types=("table_wise",)), is_weighted=True),
    "x": make_feature("x", dim=3),
}


def test_entries_of_group_are_in_listed_order() -> None:
    layout = build_layout(FEATURES, [make_group("deep", "b", "x", "a")])
    assert layout.groups == {
        "deep": (LayoutEntry("b", "ids", 4, "b"), LayoutEntry("x", None, 3, "x"), LayoutEntry("a", "a_emb", 8, "a"))
    }
    assert layout.widths("deep") == [4, 3, 8]


def test_features_with_equal_table_names_share_table() -> None:
    bags = build_layout(FEATURES, [make_group("deep", "b", "a", "c"), make_group("again", "c", "b")]).tables
    assert list(bags) == ["ids", "a_emb"]
    assert bags["ids"].features == ("b", "c")
    assert bags["ids"].weighted
    assert bags["ids"].table == Table("ids", 50, 4, sharding_types=("row_wise", "table_wise"))
    assert not bags["a_emb"].weighted


def test_wide_groups_have_separate_tables() -> None:
    layout = build_layout(
        FEATURES, [make_group("deep", "a"), make_group("wide", "a", "b", group_type=WIDE)], 4, "nn.init.zeros_"
    )
    assert layout.tables["a_emb_wide"].table == Table("a_emb_wide", 10, 4, init_fn="nn.init.zeros_")
    assert layout.groups["wide"] == (
        LayoutEntry("a", "a_emb_wide", 4, "a@a_emb_wide"),
        LayoutEntry("b", "ids_wide", 4, "b"),
    )
    assert layout.groups["deep"] == (LayoutEntry("a", "a_emb", 8, "a@a_emb"),)


def test_wide_table_without_init_fn_has_that_of_feature() -> None:
    features = {"a": make_feature("a", Table("a_emb", 10, 8, init_fn="nn.init.ones_"))}
    bags = build_layout(features, [make_group("wide", "a", group_type=WIDE)], 4).tables
    assert bags["a_emb_wide"].table.init_fn == "nn.init.ones_"


def test_suffix_follows_wide_in_table_name() -> None:
    layout = build_layout(
        FEATURES, [make_group("w", "a", group_type=WIDE, suffix="u"), make_group("d", "a", suffix="u")], 4
    )
    assert list(layout.tables) == ["a_emb_wide_u", "a_emb_u"]


SEQUENCE_PREFIX = FEATURES | {
    "s": make_feature("s", Table("a_emb", 10, 8), is_sequence=True),
    "n": make_feature("n", dim=2, is_sequence=True),
}


def test_sequence_groups_have_separate_tables() -> None:
    layout = build_layout(
        SEQUENCE_PREFIX, [make_group("d", "a", "x"), make_group("q", "n", "a", "s", "x", group_type=SEQUENCE)]
    )
    assert list(layout.groups) == ["d"]
    assert list(layout.tables) == list(layout.sequence_tables) == ["a_emb"]
    assert layout.tables["a_emb"].features == ("a",)
    assert layout.sequence_tables["a_emb"].features == ("a", "s")
    sequence = layout.sequences["q"]
    assert sequence.query == (LayoutEntry("a", "sequence.a_emb", 8, "sequence.a"), LayoutEntry("x", None, 3, "x"))
    assert sequence.elements == (LayoutEntry("n", None, 2, "n"), LayoutEntry("s", "sequence.a_emb", 8, "sequence.s"))
    assert list(layout.all_tables) == ["a_emb", "sequence.a_emb"]
    assert (sequence.jagged, sequence.limit, sequence.encoded) == (False, 0, False)


@pytest.mark.parametrize(
    ("encoders", "limit"),
    [
        ([("pooling_encoder", 3)], 3),
        ([("pooling_encoder", 3), ("simple_attention", 7)], 7),
        ([("pooling_encoder", 3), ("simple_attention", 0)], 0),
        ([("multi_window_din_encoder", 5)], 5),
        ([], 0),
    ],
)
def test_limit_of_sequence_group_is_largest_of_its_encoders(encoders: list[tuple[str, int]], limit: int) -> None:
    deep = make_group("d", "a")
    deep.sequence_groups.add(feature_names=["a", "s"], embedding_name_suffix="u")
    for name, steps in encoders:
        message = getattr(deep.sequence_encoders.add(), name)
        message.input = "d"
        if name == "multi_window_din_encoder":
            message.windows_len[:] = [2, steps - 2]
        else:
            message.max_seq_length = steps
    layout = build_layout(SEQUENCE_PREFIX, [deep])
    assert list(layout.sequence_tables) == ["a_emb_u"]
    assert layout.sequences["d"].limit == limit
    assert layout.sequences["d"].encoded


def problems(features: dict[str, Feature], *groups: FeatureGroupConfig, wide: int | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build_layout(features, list(groups), wide)
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (Table("ids", 51, 4), "rows 50 and by"),
        (Table("ids", 50, 8), "dim 4 and by"),
        (Table("ids", 50, 4, pooling="mean"), "pooling 'sum' and by"),
        (Table("ids", 50, 4, init_fn="nn.init.ones_"), "init_fn '' and by"),
        (Table("ids", 50, 4, data_type="FP16"), "data_type 'FP32' and by"),
        (Table("ids", 50, 4, trainable=False), "trainable True and by"),
    ],
)
def test_different_tables_of_one_name_are_rejected(other: Table, field: str) -> None:
    features = {"b": FEATURES["b"], "o": make_feature("o", other)}
    (message,) = problems(features, make_group("deep", "b"), make_group("more", "o"))
    assert 'table "ids" is shared by feature "b" in group "deep" with ' + field in message
    assert 'feature "o" in group "more"' in message


def test_all_conflicts_are_reported() -> None:
    features = FEATURES | {"o": make_feature("o", Table("ids", 9, 8)), "p": make_feature("p", Table("a_emb", 10, 16))}
    assert len(problems(features, make_group("deep", *features))) == 3


def test_suffixes_that_make_one_name_are_rejected() -> None:
    features = {"a": make_feature("a", Table("t", 10, 8)), "b": make_feature("b", Table("t_u", 10, 8))}
    (message,) = problems(features, make_group("d", "a", suffix="u_v"), make_group("e", "b", suffix="v"))
    assert 'both result in the table name "t_u_v"' in message


def test_groups_with_unsupported_features_are_rejected() -> None:
    features = FEATURES | {"s": make_feature("s", Table("s_emb", 10, 8), is_sequence=True)}
    deep = make_group("d", "s")
    deep.sequence_groups.add(feature_names=["s", "c", "noone"])
    messages = problems(
        features,
        make_group("w", "x", "nobody", group_type=WIDE),
        deep,
        make_group("q", "s", "c", group_type=SEQUENCE),
        wide=4,
    )
    assert len(messages) == 6
    assert 'feature "x" is dense' in messages[0]
    assert 'unknown feature "nobody"' in messages[1]
    assert 'feature "s" is a sequence; list it in sequence_groups' in messages[2]
    assert 'feature "c" is weighted' in messages[3]
    assert 'unknown feature "noone"' in messages[4]
    assert 'feature "c" is weighted' in messages[5]


@pytest.mark.parametrize("name", ["half", "keys", "user.id"])
def test_table_names_that_torch_reserves_are_rejected(name: str) -> None:
    (message,) = problems({"a": make_feature("a", Table(name, 10, 8))}, make_group("g", "a"))
    assert message == f'feature "a" in group "g": "{name}" is not a valid table name; choose another'
