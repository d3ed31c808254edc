"""Tables shared, widened and renamed; groups in listed order; refusals that name both sides."""

from __future__ import annotations

from typing import Any

import pytest

from tzrec.errors import ConfigError
from tzrec.features.base import Feature, Table
from tzrec.protos.model_pb2 import DEEP, SEQUENCE, WIDE, FeatureGroupConfig
from tzrec.tables.layout import Layout, LayoutEntry, build_layouts


def feature(
    name: str, table: Table | None = None, dim: int = 0, weighted: bool = False, steps: bool = False
) -> Feature:
    made = Feature()
    made.name, made.table, made.dim, made.is_sparse, made.is_weighted = name, table, dim, table is not None, weighted
    made.is_sequence = steps
    return made


def group(name: str, *features: str, kind: Any = DEEP, suffix: str = "") -> FeatureGroupConfig:
    made = FeatureGroupConfig(group_name=name, feature_names=features, group_type=kind)
    if suffix:
        made.embedding_name_suffix = suffix
    return made


def build_layout(features: dict[str, Feature], groups: list[FeatureGroupConfig], *wide: Any) -> Layout:
    (layout,) = build_layouts(features, groups, *wide).values()
    return layout


FEATURES = {
    "a": feature("a", Table("a_emb", 10, 8)),
    "b": feature("b", Table("ids", 50, 4, sharding_types=("row_wise",))),
    "c": feature("c", Table("ids", 50, 4, sharding_types=("table_wise",)), weighted=True),
    "x": feature("x", dim=3),
}


def test_entries_stand_in_listed_order() -> None:
    layout = build_layout(FEATURES, [group("deep", "b", "x", "a")])
    assert layout.groups == {
        "deep": (LayoutEntry("b", "ids", 4, "b"), LayoutEntry("x", None, 3, "x"), LayoutEntry("a", "a_emb", 8, "a"))
    }
    assert layout.widths("deep") == [4, 3, 8]


def test_features_that_name_one_table_share_it() -> None:
    bags = build_layout(FEATURES, [group("deep", "b", "a", "c"), group("again", "c", "b")]).tables
    assert list(bags) == ["ids", "a_emb"]
    assert bags["ids"].features == ("b", "c")
    assert bags["ids"].weighted
    assert bags["ids"].table == Table("ids", 50, 4, sharding_types=("row_wise", "table_wise"))
    assert not bags["a_emb"].weighted


def test_wide_tables_are_their_own() -> None:
    layout = build_layout(FEATURES, [group("deep", "a"), group("wide", "a", "b", kind=WIDE)], 4, "nn.init.zeros_")
    assert layout.tables["a_emb_wide"].table == Table("a_emb_wide", 10, 4, init_fn="nn.init.zeros_")
    assert layout.groups["wide"] == (
        LayoutEntry("a", "a_emb_wide", 4, "a@a_emb_wide"),
        LayoutEntry("b", "ids_wide", 4, "b"),
    )
    assert layout.groups["deep"] == (LayoutEntry("a", "a_emb", 8, "a@a_emb"),)


def test_wide_tables_begin_as_the_feature_says_unless_told() -> None:
    features = {"a": feature("a", Table("a_emb", 10, 8, init_fn="nn.init.ones_"))}
    bags = build_layout(features, [group("wide", "a", kind=WIDE)], 4).tables
    assert bags["a_emb_wide"].table.init_fn == "nn.init.ones_"


def test_suffixes_come_last() -> None:
    layout = build_layout(FEATURES, [group("w", "a", kind=WIDE, suffix="u"), group("d", "a", suffix="u")], 4)
    assert list(layout.tables) == ["a_emb_wide_u", "a_emb_u"]


SEQUENCE_PREFIX = FEATURES | {
    "s": feature("s", Table("a_emb", 10, 8), steps=True),
    "n": feature("n", dim=2, steps=True),
}


def test_sequence_groups_have_tables_of_their_own() -> None:
    layout = build_layout(SEQUENCE_PREFIX, [group("d", "a", "x"), group("q", "n", "a", "s", "x", kind=SEQUENCE)])
    assert list(layout.groups) == ["d"]
    assert list(layout.tables) == list(layout.sequence_tables) == ["a_emb"]
    assert layout.tables["a_emb"].features == ("a",)
    assert layout.sequence_tables["a_emb"].features == ("a", "s")
    made = layout.sequences["q"]
    assert made.query == (LayoutEntry("a", "sequence.a_emb", 8, "sequence.a"), LayoutEntry("x", None, 3, "x"))
    assert made.elements == (LayoutEntry("n", None, 2, "n"), LayoutEntry("s", "sequence.a_emb", 8, "sequence.s"))
    assert list(layout.all_tables) == ["a_emb", "sequence.a_emb"]
    assert (made.jagged, made.limit, made.encoded) == (False, 0, False)


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
def test_a_sequence_group_has_as_many_steps_as_its_encoders_read(encoders: list[tuple[str, int]], limit: int) -> None:
    deep = group("d", "a")
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
def test_one_name_is_one_table(other: Table, field: str) -> None:
    features = {"b": FEATURES["b"], "o": feature("o", other)}
    (message,) = problems(features, group("deep", "b"), group("more", "o"))
    assert 'table "ids" is shared by feature "b" in group "deep" with ' + field in message
    assert 'feature "o" in group "more"' in message


def test_every_conflict_is_told() -> None:
    features = FEATURES | {"o": feature("o", Table("ids", 9, 8)), "p": feature("p", Table("a_emb", 10, 16))}
    assert len(problems(features, group("deep", *features))) == 3


def test_two_suffixes_do_not_meet_in_one_name() -> None:
    features = {"a": feature("a", Table("t", 10, 8)), "b": feature("b", Table("t_u", 10, 8))}
    (message,) = problems(features, group("d", "a", suffix="u_v"), group("e", "b", suffix="v"))
    assert 'both make the table name "t_u_v"' in message


def test_unfit_groups() -> None:
    features = FEATURES | {"s": feature("s", Table("s_emb", 10, 8), steps=True)}
    deep = group("d", "s")
    deep.sequence_groups.add(feature_names=["s", "c", "noone"])
    messages = problems(
        features, group("w", "x", "nobody", kind=WIDE), deep, group("q", "s", "c", kind=SEQUENCE), wide=4
    )
    assert len(messages) == 6
    assert 'feature "x" is dense' in messages[0]
    assert 'unknown feature "nobody"' in messages[1]
    assert 'feature "s" is a sequence; list it in sequence_groups' in messages[2]
    assert 'feature "c" is weighted' in messages[3]
    assert 'unknown feature "noone"' in messages[4]
    assert 'feature "c" is weighted' in messages[5]


@pytest.mark.parametrize("name", ["half", "keys", "user.id"])
def test_names_that_torch_cannot_keep(name: str) -> None:
    (message,) = problems({"a": feature("a", Table(name, 10, 8))}, group("g", "a"))
    assert message == f'feature "a" in group "g": "{name}" is not a valid table name; choose another'
