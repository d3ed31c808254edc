"""Configs built in Python."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

import tzrec
import tzrec.protos
from tzrec.config.build import build_config
from tzrec.config.load import load_source
from tzrec.protos import (
    MLP,
    ComboFeature,
    DataConfig,
    DeepFM,
    FeatureConfig,
    FeatureGroupConfig,
    IdFeature,
    L2Loss,
    LossConfig,
    MMoE,
    ModelConfig,
    MultiTower,
    RawFeature,
    TaskTower,
    Tower,
    TrainConfig,
)

USER = IdFeature(feature_name="user_id", num_buckets=10, embedding_dim=4)
PRICE = RawFeature(feature_name="price")
EXPERT = MLP(hidden_units=[4])
PATHS = {"train_input_path": "absent.parquet"}


def test_labels_become_tasks_of_a_model_with_towers() -> None:
    config = build_config([USER, PRICE], MMoE(expert_mlp=EXPERT), ["clk", "buy"], model_dir="out")
    towers = config.model_config.mmoe.task_towers
    assert [(tower.tower_name, tower.label_name) for tower in towers] == [("clk", "clk"), ("buy", "buy")]
    assert all(
        tower.losses[0].HasField("binary_cross_entropy") and tower.metrics[0].HasField("auc") for tower in towers
    )
    assert [entry.WhichOneof("feature") for entry in config.feature_configs] == ["id_feature", "raw_feature"]
    assert config.feature_configs[0].id_feature.expression == "user:user_id"
    assert config.feature_configs[1].raw_feature.expression == "item:price"
    (group,) = config.model_config.feature_groups
    assert (group.group_name, list(group.feature_names)) == ("all", ["user_id", "price"])
    assert list(config.data_config.label_fields) == ["clk", "buy"]
    assert tzrec.check(config, edit=PATHS) == []


def test_what_is_given_is_kept() -> None:
    regression = [LossConfig(l2_loss=L2Loss())]
    model = MMoE(expert_mlp=EXPERT, task_towers=[TaskTower(tower_name="spend", label_name="money", losses=regression)])
    feature = IdFeature(feature_name="user_id", expression="item:uid", num_buckets=10, embedding_dim=4)
    train, data = TrainConfig(num_steps=7), DataConfig(batch_size=256, label_fields=["money"])
    config = build_config([feature], model, ["money"], train_config=train, data_config=data)
    (tower,) = config.model_config.mmoe.task_towers
    assert (tower.tower_name, tower.label_name) == ("spend", "money")
    assert [loss.WhichOneof("loss") for loss in tower.losses] == ["l2_loss"]
    assert list(tower.metrics) == []
    assert config.feature_configs[0].id_feature.expression == "item:uid"
    assert (config.train_config.num_steps, config.train_config.num_epochs) == (7, 0)
    assert (config.data_config.batch_size, list(config.data_config.label_fields)) == (256, ["money"])
    assert not feature.HasField("embedding_name")  # the messages given are not changed
    assert train == TrainConfig(num_steps=7)


@pytest.mark.parametrize(
    ("model", "groups"),
    [
        (DeepFM(deep=EXPERT), [("wide", "WIDE"), ("deep", "DEEP")]),
        (MultiTower(towers=[Tower(input="a", mlp=EXPERT), Tower(input="b")]), [("a", "DEEP"), ("b", "DEEP")]),
        (ModelConfig(num_class=3, deepfm=DeepFM(deep=EXPERT)), [("wide", "WIDE"), ("deep", "DEEP")]),
    ],
)
def test_groups_are_those_that_the_model_reads(model: Message, groups: list[tuple[str, str]]) -> None:
    config = build_config([USER], model, ["clk"])
    kinds = tzrec.protos.FeatureGroupType
    names = [(group.group_name, kinds.Name(group.group_type)) for group in config.model_config.feature_groups]
    assert names == groups
    assert config.model_config.losses[0].HasField("binary_cross_entropy")


def test_sequence_needs_a_group() -> None:
    feature = FeatureConfig(sequence_id_feature=IdFeature(feature_name="clicks", num_buckets=10, embedding_dim=4))
    with pytest.raises(tzrec.ConfigError, match=r"feature_groups: features\[1\] is a sequence; name the groups"):
        build_config([USER, feature], MMoE(expert_mlp=EXPERT), ["clk"])
    group = FeatureGroupConfig(group_name="all", feature_names=["user_id"], group_type=tzrec.protos.DEEP)
    config = build_config([USER, feature], MMoE(expert_mlp=EXPERT), ["clk"], feature_groups=[group])
    assert config.feature_configs[1].sequence_id_feature.expression == "item:clicks"
    assert list(config.model_config.feature_groups) == [group]


def test_combination_of_columns_has_no_column_of_its_name() -> None:
    combo = ComboFeature(feature_name="a_b", hash_bucket_size=10, embedding_dim=4)
    config = build_config([USER, combo], MMoE(expert_mlp=EXPERT), ["clk"])
    assert "feature_configs[1].combo_feature.expression" in [
        problem.field for problem in tzrec.check(config, edit=PATHS)
    ]


@pytest.mark.parametrize(
    ("features", "model", "message"),
    [
        ([EXPERT], MMoE(), r"features\[0\]: MLP is not a feature; see tzrec.protos.FeatureConfig"),
        ([USER], EXPERT, r"model: MLP is not a model; see tzrec.protos.ModelConfig"),
        ([USER], ModelConfig(), r"model: is empty; give a model"),
    ],
)
def test_message_of_another_kind_raises(features: list[Message], model: Message, message: str) -> None:
    with pytest.raises(tzrec.ConfigError, match=message):
        build_config(features, model, ["clk"])


def test_problem_of_built_config_names_its_field() -> None:
    wide = IdFeature(feature_name="user_id", num_buckets=0, embedding_dim=4)
    (problem, *_) = tzrec.check(build_config([wide], MMoE(expert_mlp=EXPERT), ["clk"]), edit=PATHS)
    assert problem.field.startswith("feature_configs[0].id_feature")
    assert problem.location == ""


def test_index_of_messages_has_all_of_a_config() -> None:
    assert tzrec.protos.EasyRecConfig is type(load_source(build_config([USER], MMoE(), ["clk"])).config)
    assert {"MMoE", "IdFeature", "AUC", "FeatureGroupType"} <= set(dir(tzrec.protos))
    with pytest.raises(AttributeError, match=r"module 'tzrec.protos' has no attribute 'Mmoe'"):
        tzrec.protos.Mmoe  # type: ignore[attr-defined] # noqa: B018
