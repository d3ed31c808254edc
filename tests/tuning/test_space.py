"""Spaces: values of parameters as edits, the values of the starting config, and problems with their places."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.studies import settings_of, start_config
from tzrec.config.edit import apply_edits
from tzrec.config.load import load_source
from tzrec.errors import ConfigError, UsageError
from tzrec.protos.tune_pb2 import TuneConfig
from tzrec.tuning.settings import load_settings
from tzrec.tuning.space import Space, copy_config
from tzrec.tuning.storage import grid

LR = "train_config.dense_optimizer.adam_optimizer.lr"
DIM = "feature_configs[:].id_feature.embedding_dim"
UNITS = "model_config.mmoe.expert_mlp.hidden_units"
BIG = f'set {{ path: "{UNITS}" value: "[32]" }}'


def space_of(directory: Path, *parameters: str) -> Space:
    """Create a space from the texts of its parameters."""
    return settings_of(directory, "\n".join(f"parameters {{ {text} }}" for text in parameters)).space


def problems_of(directory: Path, text: str) -> list[str]:
    """List the problems of the config of a study as `line:column field: message`."""
    with pytest.raises(ConfigError) as caught:
        settings_of(directory, text)
    places = [problem.location.partition("space.config:")[2] for problem in caught.value.problems]
    return [
        f"{place} {problem.field}: {problem.message}"
        for place, problem in zip(places, caught.value.problems, strict=True)
    ]


@pytest.mark.parametrize(
    ("parameter", "value", "edits"),
    [
        (f'path: "{LR}" float_range {{ min: 0.001 max: 0.1 log: true }}', 0.0123456, {LR: "0.01235"}),
        (f'path: "{DIM}" int_range {{ min: 4 max: 16 step: 4 }}', 12, {DIM: "12"}),
        (f'path: "{UNITS}" choices {{ value: ["[4]", "[8, 4]"] }}', "[8, 4]", {UNITS: "[8, 4]"}),
        (f'path: "{LR}" relative: true float_range {{ min: 0.1 max: 10 }}', 2.5, {LR: 0.025}),
        (
            f'path: "{DIM}" relative: true float_range {{ min: 0.5 max: 4 }}',
            1.6,
            {"feature_configs[0].id_feature.embedding_dim": 8},
        ),
        (f'path: "{UNITS}" relative: true float_range {{ min: 0.5 max: 4 }}', 3.9, {UNITS: [16]}),
        (
            f'name: "size" blocks {{ block {{ name: "start" }} block {{ name: "big" {BIG} '
            'set { path: "model_config.mmoe.num_expert" value: "4" } } }',
            "big",
            {UNITS: "[32]", "model_config.mmoe.num_expert": "4"},
        ),
    ],
)
def test_value_of_a_parameter_becomes_edits(tmp_path: Path, parameter: str, value: float | str, edits: object) -> None:
    space = space_of(tmp_path, parameter)
    (name,) = [parameter.name for parameter in space.parameters]
    assert space.edits({name: value}) == edits
    apply_edits(copy_config(space.start), space.edits({name: value}))


@pytest.mark.parametrize(
    ("parameter", "start"),
    [
        (f'path: "{LR}" float_range {{ min: 0.001 max: 0.1 log: true }}', {"lr": 0.01}),
        (f'path: "{LR}" float_range {{ min: 0.02 max: 0.1 log: true }}', None),
        (f'path: "{DIM}" int_range {{ min: 2 max: 16 }}', {"embedding_dim": 4}),
        (f'path: "{DIM}" int_range {{ min: 2 max: 17 step: 3 }}', None),
        (f'path: "{UNITS}" choices {{ value: ["8", "4"] }}', {"hidden_units": "4"}),
        (f'path: "{LR}" relative: true float_range {{ min: 0.1 max: 10 }}', {"lr": 1.0}),
        (
            'path: "model_config.mmoe.expert_mlp.dropout_ratio" float_range { min: 0 max: 0.5 step: 0.1 }',
            {"dropout_ratio": 0},
        ),
        (
            'path: "train_config.dense_optimizer" choices { value: ["sgd_optimizer { lr: 0.1 } '
            'constant_learning_rate {}", "adam_optimizer { lr: 0.01 } constant_learning_rate {}"] }',
            {"dense_optimizer": "adam_optimizer { lr: 0.01 } constant_learning_rate {}"},
        ),
        (
            f'name: "size" blocks {{ block {{ name: "big" {BIG} }} block {{ name: "as is" }} }}',
            {"size": "as is"},
        ),
    ],
)
def test_start_values_are_those_of_the_config(tmp_path: Path, parameter: str, start: object) -> None:
    assert space_of(tmp_path, parameter).start_values() == start


def test_problems_of_a_space_are_listed_with_their_places(tmp_path: Path) -> None:
    text = """metric: "acu_ctr"
parameters { path: "train_config.dense_optimizer.adam_optimizer.lrr" float_range { min: 0.1 max: 1 } }
parameters { path: "data_config.batch_size" float_range { min: 8.5 max: 16 } }
parameters { name: "a" path: "train_config.num_epochs" int_range { min: 9 max: 3 } }
parameters { name: "b" path: "train_config.log_step_count_steps" int_range { min: 0 max: 3 } }
parameters { name: "a" path: "train_config.seed" }
parameters { name: "c" path: "model_config.mmoe.num_expert" choices { value: ["2"] } }
parameters { name: "d" path: "model_config.mmoe" choices { value: ["num_expert: 1", "num_experts: 2"] } }
parameters { name: "e" path: "train_config.max_minutes" float_range { min: 0 max: 3 log: true } }
parameters { name: "f" path: "feature_configs[7].id_feature.embedding_dim" int_range { min: 1 max: 3 } }
"""
    assert problems_of(tmp_path, text) == [
        '1:1 metric: unknown result of an evaluation "acu_ctr"; did you mean "auc_ctr"?',
        '2:14 parameters[0].path[0]: no such field "lrr" in train_config.dense_optimizer.adam_optimizer; did you mean '
        '"lr"?',
        "3:59 parameters[1].float_range.min: 8.5: data_config.batch_size: expected an integer of 32 bits from 0 up, "
        "received 8.5; use int_range",
        "4:75 parameters[2].int_range.max: 3 is below min, 9",
        "5:78 parameters[3].int_range.min: 0: train_config.log_step_count_steps: 0 is below 1",
        '6:1 parameters[4]: "a" is already the name of another parameter, at line 4',
        "6:1 parameters[4]: has no values; give one of int_range, float_range, choices, blocks",
        "7:61 parameters[5].choices: has 1 value; give at least 2",
        "8:68 parameters[6].choices.value[0]: num_expert: 1: model_config.mmoe.expert_mlp: is required and missing",
        "8:85 parameters[6].choices.value[1]: num_experts: 2: model_config.mmoe.num_experts: no such field; did you "
        'mean "num_expert"?',
        "9:85 parameters[7].float_range.log: needs a min above 0, which is 0",
        "10:24 parameters[8].path[0]: feature_configs[7]: index out of range, feature_configs has 1 elements",
    ]


def test_field_of_two_parameters_is_refused(tmp_path: Path) -> None:
    both = [f'parameters {{ name: "{name}" path: "{UNITS}" choices {{ value: ["4", "8"] }} }}' for name in "ab"]
    block = 'parameters { name: "c" path: "model_config.mmoe.expert_mlp" choices { value: ["hidden_units: 4", ""] } }'
    assert problems_of(tmp_path, "\n".join([*both, block]))[0] == (
        f'2:1 parameters[1]: {UNITS} is varied by the parameter "a" already; a field has one parameter'
    )


def test_default_space_holds_the_starting_config_and_valid_limits(tmp_path: Path) -> None:
    settings = load_settings(start_config(tmp_path))
    names = [parameter.name for parameter in settings.space.parameters]
    assert names == ["dense_lr", "weight_decay", "sparse_lr", "batch_size", "dims", "widths", "dropout", "experts"]
    assert settings.space.start_values() == {
        "dense_lr": 1.0,
        "weight_decay": "0",
        "sparse_lr": 1.0,
        "batch_size": "8",
        "dims": 1.0,
        "widths": 1.0,
        "dropout": 0.0,
        "experts": 2,
    }
    assert (settings.metric, settings.is_maximized) == ("auc_ctr", True)


def test_default_spaces_of_examples_are_valid() -> None:
    for path in sorted(Path("examples/configs").glob("*.config"))[::8]:
        config = load_source(str(path)).config
        config.eval_input_path = config.eval_input_path or "x"
        assert load_settings(config).space.parameters, path


def test_test_data_that_trials_would_read_is_refused(tmp_path: Path) -> None:
    config = start_config(tmp_path)
    text = f'test_input_path: "{tmp_path}/*.csv"'
    assert [problem.split(": ")[1] for problem in problems_of(tmp_path, text)] == [
        f"trials would read {tmp_path}/log.csv, a file of train_input_path",
        f"trials would read {tmp_path}/log.csv, a file of eval_input_path; with eval_split here trials are evaluated "
        "on other rows",
    ]
    config.train_input_path = f"{tmp_path}/my.config"
    (tmp_path / "space.config").write_text(f"{text} eval_split {{ fraction: 0.1 }}")
    start = load_settings(config, str(tmp_path / "space.config")).space.start
    assert (start.eval_input_path, start.data_config.eval_split.fraction) == ("", 0.1)


def test_config_without_evaluation_data_is_refused(tmp_path: Path) -> None:
    config = start_config(tmp_path, eval_input_path="")
    with pytest.raises(ConfigError, match=r"no data to evaluate trials on; hold rows out here, as eval_split"):
        load_settings(config)


@pytest.mark.parametrize(
    ("text", "is_maximized"),
    [
        ("", True),
        ('metric: "binary_cross_entropy_ctr"', False),
        ("direction: MINIMIZE", False),
        ('metric: "binary_cross_entropy_ctr" direction: MAXIMIZE', True),
    ],
)
def test_direction_is_that_of_the_metric(tmp_path: Path, text: str, is_maximized: bool) -> None:
    assert settings_of(tmp_path, text).is_maximized == is_maximized


def test_grid_lists_all_points_and_needs_steps(tmp_path: Path) -> None:
    dropout = 'path: "model_config.mmoe.expert_mlp.dropout_ratio" float_range { min: 0 max: 0.3 step: 0.1 }'
    space = space_of(tmp_path, dropout, f'path: "{UNITS}" choices {{ value: ["4", "8"] }}')
    points = [tuple(point.values()) for point in grid(space)]
    assert points == [(dropout, units) for dropout in (0.0, 0.1, 0.2, 0.3) for units in ("4", "8")]
    with pytest.raises(UsageError, match='the range of "lr" is not a grid; give it a step'):
        list(grid(space_of(tmp_path, f'path: "{LR}" float_range {{ min: 0.1 max: 1 }}')))


def test_flags_replace_fields_of_the_study(tmp_path: Path) -> None:
    assert TuneConfig().num_trials == 20
    assert settings_of(tmp_path, "num_trials: 7", num_trials=None).config.num_trials == 7
    assert settings_of(tmp_path, "num_trials: 7", num_trials=3).config.num_trials == 3
