from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tzrec.config.edit import apply_edits, edit, parse_set
from tzrec.config.load import load_config
from tzrec.errors import ConfigError
from tzrec.protos.data_pb2 import DatasetType
from tzrec.protos.model_pb2 import FeatureGroupType
from tzrec.protos.pipeline_pb2 import EasyRecConfig

MMOE = str(Path(__file__).with_name("mmoe.config"))


@pytest.fixture
def config() -> EasyRecConfig:
    return load_config(MMOE)


def test_scalars_are_converted_to_the_type_of_the_field(config: EasyRecConfig) -> None:
    apply_edits(
        config,
        {
            "train_config.num_steps": "200",
            "train_config.use_tensorboard": "False",
            "data_config.shuffle": True,
            "data_config.dataset_type": "CsvDataset",
            "data_config.delimiter": ";",
            "train_config.dense_optimizer.adam_optimizer.lr": 0.5,
            "model_dir": 7,
        },
    )
    assert config.train_config.num_steps == 200
    assert config.train_config.use_tensorboard is False
    assert config.data_config.shuffle is True
    assert config.data_config.dataset_type == DatasetType.CsvDataset
    assert config.data_config.delimiter == ";"
    assert config.model_dir == "7"
    assert config.train_config.dense_optimizer.adam_optimizer.lr == 0.5


def dims(config: EasyRecConfig) -> list[int]:
    return [item.id_feature.embedding_dim or item.raw_feature.embedding_dim for item in config.feature_configs]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("feature_configs[1].id_feature.embedding_dim", [16, 4, 16]),
        ("feature_configs[-1].raw_feature.embedding_dim", [16, 16, 4]),
        ("feature_configs[0:2].id_feature.embedding_dim", [4, 4, 16]),
        ("feature_configs[1:].raw_feature.embedding_dim", [16, 16, 4]),
        ("feature_configs[:].id_feature.embedding_dim", [4, 4, 16]),
        ("feature_configs[id_feature.feature_name=cate_id].id_feature.embedding_dim", [16, 4, 16]),
        ("feature_configs[raw_feature.feature_name='price'].raw_feature.embedding_dim", [16, 16, 4]),
        ("feature_configs[id_feature.num_buckets>1000000].id_feature.embedding_dim", [4, 16, 16]),
        ("feature_configs[id_feature.embedding_dim<=16].id_feature.embedding_dim", [4, 4, 16]),
        ("feature_configs[id_feature.hash_bucket_size<13001].id_feature.embedding_dim", [16, 4, 16]),
        ("feature_configs[id_feature.hash_bucket_size>=13000].id_feature.embedding_dim", [16, 4, 16]),
    ],
)
def test_elements_are_selected_by_index_range_and_comparison(
    config: EasyRecConfig, path: str, expected: list[int]
) -> None:
    apply_edits(config, {path: 4})
    assert dims(config) == expected


def test_several_paths_in_one_edit_are_applied(config: EasyRecConfig) -> None:
    apply_edits(
        config,
        {
            "train_config.num_steps; train_config.num_epochs": "5;0",
            "feature_configs[0].id_feature.embedding_dim;feature_configs[1].id_feature.embedding_dim": [2, 3],
        },
    )
    assert (config.train_config.num_steps, config.train_config.num_epochs, dims(config)) == (5, 0, [2, 3, 16])


@pytest.mark.parametrize("value", ["[0.5, 1, 2.5]", [0.5, 1, 2.5]])
def test_repeated_scalars_are_replaced(config: EasyRecConfig, value: Any) -> None:
    apply_edits(config, {"feature_configs[raw_feature.feature_name=price].raw_feature.boundaries": value})
    assert list(config.feature_configs[2].raw_feature.boundaries) == [0.5, 1.0, 2.5]


def test_one_element_of_repeated_scalars_is_replaced(config: EasyRecConfig) -> None:
    towers = "model_config.mmoe.task_towers[:].mlp.hidden_units"
    apply_edits(config, {f"{towers}[0]": 32, f"{towers}[1:]": 8, "data_config.label_fields[1]": "pay"})
    assert [list(item.mlp.hidden_units) for item in config.model_config.mmoe.task_towers] == [[32, 8, 8]] * 2
    assert list(config.data_config.label_fields) == ["clk", "pay"]


@pytest.mark.parametrize("value", ["hidden_units: [4]", "{ hidden_units: 4 }", {"hidden_units": [4]}])
def test_messages_are_replaced_with_or_without_braces(config: EasyRecConfig, value: Any) -> None:
    apply_edits(config, {"model_config.mmoe.expert_mlp": value, "model_config.mmoe.task_towers[0].mlp": value})
    for mlp in (config.model_config.mmoe.expert_mlp, config.model_config.mmoe.task_towers[0].mlp):
        assert list(mlp.hidden_units) == [4]


def test_repeated_messages_and_maps_are_replaced(config: EasyRecConfig) -> None:
    apply_edits(
        config,
        {
            "model_config.feature_groups": "[{group_name: 'a' group_type: WIDE}, {group_name: 'b' group_type: DEEP}]",
            "feature_configs[0].id_feature.vocab_dict": '[{key:"a" value:2}]',
            "feature_configs[1].id_feature.vocab_dict": {"b": 3},
        },
    )
    assert [group.group_name for group in config.model_config.feature_groups] == ["a", "b"]
    assert config.model_config.feature_groups[0].group_type == FeatureGroupType.WIDE
    assert dict(config.feature_configs[0].id_feature.vocab_dict) == {"a": 2}
    assert dict(config.feature_configs[1].id_feature.vocab_dict) == {"b": 3}


def test_oneof_member_is_replaced_only_as_a_whole(config: EasyRecConfig) -> None:
    apply_edits(config, {"train_config.sparse_optimizer.sgd_optimizer": "lr: 0.1"})
    assert config.train_config.sparse_optimizer.WhichOneof("optimizer") == "sgd_optimizer"
    assert config.train_config.sparse_optimizer.HasField("constant_learning_rate")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train_config.num_step", 1, 'no such field "num_step" in train_config; did you mean "num_steps"?'),
        ("trian_config.num_steps", 1, 'no such field "trian_config" in EasyRecConfig; did you mean "train_config"?'),
        ("train_config.num_steps", "many", "expected an integer of 32 bits from 0 up, received many"),
        ("train_config.use_tensorboard", "yes", "expected true or false, received yes"),
        ("data_config.dataset_type", "CvsDataset", 'did you mean "CsvDataset"?'),
        ("train_config.num_steps", [1], "expected one value, received [1]"),
        ("train_config.num_steps.x", 1, "train_config.num_steps is not a message and has no fields"),
        ("train_config[0].num_steps", 1, "train_config is not repeated; leave the brackets out"),
        ("train_config.num_steps[0]", 1, "train_config.num_steps is not repeated; leave the brackets out"),
        ("feature_configs.id_feature.embedding_dim", 1, "is repeated; select elements: feature_configs[0], "),
        (
            "feature_configs[3].id_feature.embedding_dim",
            1,
            "feature_configs[3]: index out of range, feature_configs has 3 elements",
        ),
        ("feature_configs[3:].id_feature.embedding_dim", 1, "selects no element"),
        ("feature_configs[x].id_feature.embedding_dim", 1, '"[x]" is not an index, a range or a comparison'),
        ("feature_configs[id_feature.feature_nam=a].id_feature.embedding_dim", 1, 'did you mean "feature_name"?'),
        ("feature_configs[id_feature.feature_name=cat_id].id_feature.embedding_dim", 1, 'did you mean "cate_id"?'),
        ("feature_configs[id_feature.feature_name>a].id_feature.embedding_dim", 1, 'compare with "=", not ">"'),
        ("feature_configs[id_feature.num_buckets=a].id_feature.embedding_dim", 1, "expected an integer of 64 bits"),
        ("feature_configs[id_feature.vocab_list=a].id_feature.embedding_dim", 1, "is repeated; compare a single value"),
        ("feature_configs[id_feature=a].id_feature.embedding_dim", 1, "is a message; compare one of its fields"),
        ("data_config.label_fields[=a]", 1, "is not an index, a range or a comparison"),
        ("feature_configs[2].id_feature.embedding_dim", 1, 'feature is "raw_feature"; to choose another one'),
        ("data_config.label_fields", "a,b", 'expected text like ["a", "b"], received a,b'),
        ("data_config.label_fields", "[a", 'expected "," or "]"'),
        ("model_config.mmoe.expert_mlp", "hiden_units: 3", 'hiden_units: no such field; did you mean "hidden_units"?'),
        ("model_config.mmoe.expert_mlp", "{ hidden_units: ", 'expected a field name, got "{"'),
        ("model_config.mmoe.expert_mlp", {"hiden_units": 3}, "hiden_units"),
        ("feature_configs[0].id_feature.vocab_dict.a", 3, "vocab_dict is not a message and has no fields"),
        ("a-b", 3, '"a-b" is not a field, field[0]'),
        ("train_config.num_steps;train_config.num_epochs", "1", "2 paths, but 1 values: 1"),
    ],
)
def test_invalid_edit_is_an_error_with_its_reason(config: EasyRecConfig, path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_edits(config, {path: value})
    problems = [str(problem) for problem in caught.value.problems]
    assert message in problems[0]
    assert problems[0].startswith("--edit_config_json ")


def test_invalid_edits_are_reported_at_once_and_valid_ones_are_applied(config: EasyRecConfig) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_edits(config, {"model_dri": 1, "model_dir": "y", "train_config.num_steps": "x"})
    assert [problem.field for problem in caught.value.problems] == ["model_dri", "train_config.num_steps"]
    assert config.model_dir == "y"


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("train_config.num_epochs=3", "train_config.num_epochs", "3"),
        ("f[feature_name=age].embedding_dim=8", "f[feature_name=age].embedding_dim", "8"),
        ("train_input_path=dt=1/a.csv", "train_input_path", "dt=1/a.csv"),
        ("eval_input_path=", "eval_input_path", ""),
    ],
)
def test_parse_set_splits_at_the_first_equals_sign_outside_of_brackets(text: str, path: str, value: str) -> None:
    assert parse_set(text) == (path, value)


@pytest.mark.parametrize("text", ["train_config.num_epochs", "=3", "a[b=c]"])
def test_parse_set_of_other_text_raises(text: str) -> None:
    with pytest.raises(ValueError, match="is not path=value, such as train_config"):
        parse_set(text)


def test_edit_by_set_converts_text_and_names_its_flag() -> None:
    config = EasyRecConfig()
    texts = ["data_config.batch_size=64", "data_config.label_fields=['a', 'b']", "data_config.shuffle=true"]
    _, problems = edit(config, dict(map(parse_set, [*texts, "train_config.num_step=3"])))
    assert (config.data_config.batch_size, config.data_config.shuffle) == (64, True)
    assert list(config.data_config.label_fields) == ["a", "b"]
    (problem,) = problems
    assert problem.location == "--set" and 'did you mean "num_steps"' in problem.message
