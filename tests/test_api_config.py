"""A config as path, text or message in the functions of the Python API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import json_format, text_format

import tzrec
from tests.test_api import SMALL, write_files
from tzrec.config.load import load_config
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder with `my.config` and `log.csv`."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)


def message(text: str = SMALL) -> EasyRecConfig:
    return text_format.Parse(text, EasyRecConfig())


def as_json(text: str = SMALL) -> str:
    return json.dumps(json_format.MessageToDict(message(text), preserving_proto_field_name=True))


def test_train_and_evaluate_of_path_text_json_and_message_are_equal() -> None:
    forms = {"path": "my.config", "Path": Path("my.config"), "text": SMALL, "json": as_json(), "message": message()}
    metrics = {}
    for name, config in forms.items():
        trained = tzrec.train(config, model_dir=name, edit={"train_config.num_epochs": 2})
        evaluated = tzrec.evaluate(config, checkpoint_path=name, edit={"model_dir": name})
        metrics[name] = dict(trained.metrics), dict(evaluated)
        assert load_config(f"{name}/pipeline.config").train_config.num_epochs == 2
    assert metrics["path"][0].keys() == {"auc_ctr", "binary_cross_entropy_ctr"}
    assert all(metrics[name] == metrics["path"] for name in forms)


def test_message_is_not_changed_by_training() -> None:
    config = message()
    tzrec.train(config, model_dir="out", edit={"train_config.num_epochs": 1})
    assert config == message()


def test_check_of_text_names_line_of_text() -> None:
    (problem,) = tzrec.check(SMALL.replace('["user"]', '["usr"]'))
    assert problem.location == "<config>:14:54"
    assert problem.field == "model_config.feature_groups[0].feature_names[0]"


def test_check_of_message_names_field() -> None:
    (problem,) = tzrec.check(message(SMALL.replace('["user"]', '["usr"]')))
    assert str(problem) == (
        'model_config.feature_groups[0].feature_names[0]: unknown feature "usr"; did you mean "user"?'
    )


def test_check_of_json_text_names_text_without_line() -> None:
    (problem,) = tzrec.check(as_json(SMALL.replace('["user"]', '["usr"]')))
    assert problem.location == "<config>"


def test_syntax_error_of_text_names_line_and_column() -> None:
    with pytest.raises(tzrec.ConfigError, match=r'^<config>:2:1 +expected a value, got "\}"'):
        tzrec.check("train_config { num_steps:\n}")


def test_required_field_missing_in_message_is_named() -> None:
    config = message()
    config.feature_configs.add().id_feature.expression = "user:user"
    (problem,) = tzrec.check(config)
    assert str(problem) == "feature_configs[1].id_feature.feature_name: is required and missing"


def test_name_of_file_with_brace_is_a_path() -> None:
    Path("{v1}.config").write_text(SMALL)
    assert tzrec.check("{v1}.config") == []


def test_message_of_another_type_is_refused() -> None:
    with pytest.raises(tzrec.UsageError, match=r"train: config must be a path .*, a text or an EasyRecConfig message"):
        tzrec.train(EasyRecConfig().train_config)  # type: ignore[arg-type]


def test_missing_file_remains_a_missing_file() -> None:
    with pytest.raises(tzrec.ConfigError, match=r"^absent.config +cannot read the config: No such file"):
        tzrec.check("absent.config")


def test_config_without_data_names_the_arguments_that_pass_it() -> None:
    config = message()
    config.ClearField("train_input_path")
    with pytest.raises(
        tzrec.ConfigError, match=r"^train_input_path: is required and missing; or pass the data: train\(config, train"
    ):
        tzrec.train(config)
    (problem,) = tzrec.check(SMALL.replace('train_input_path: "log.csv"', ""))
    assert problem.message.endswith("check(config, data=...)")
