from __future__ import annotations

import random
from pathlib import Path

import pytest
from google.protobuf import json_format, text_format

from tests.fixtures.random_messages import fill
from tzrec.config.completion import complete
from tzrec.config.load import dump_config, load_config, load_source
from tzrec.errors import ConfigError
from tzrec.protos.data_pb2 import FgMode
from tzrec.protos.pipeline_pb2 import EasyRecConfig

MMOE = Path(__file__).with_name("mmoe.config")


def write(tmp_path: Path, text: str, name: str = "my.config") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def with_data(text: str) -> str:
    return MMOE.read_text().replace("fg_mode: FG_DAG", text)


def test_text_and_json_load_equal(tmp_path: Path) -> None:
    config = load_config(str(MMOE))
    assert config == text_format.Parse(MMOE.read_text(), EasyRecConfig())
    for original_names in (True, False):
        text = json_format.MessageToJson(config, preserving_proto_field_name=original_names)
        assert load_config(write(tmp_path, text, "my.json")) == config


@pytest.mark.parametrize("seed", range(20))
def test_dump_loads_back_equal(tmp_path: Path, seed: int) -> None:
    config = EasyRecConfig()
    fill(config, random.Random(seed))
    config.data_config.ClearField("fg_encoded")
    config.data_config.fg_mode = config.data_config.fg_mode
    config.data_config.dataset_type = config.data_config.dataset_type
    complete(config, [])
    assert load_config(write(tmp_path, dump_config(config))) == config
    head = "# proto-file: tzrec/protos/pipeline.proto\n# proto-message: tzrec.protos.EasyRecConfig\n"
    assert dump_config(config).startswith(head)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", "FG_NONE"),
        ("fg_mode: FG_DAG", "FG_DAG"),
        ("fg_encoded: true fg_mode: FG_DAG", "FG_NONE"),
        ("fg_encoded: false", "FG_DAG"),
        ("fg_encoded: false fg_threads: 0", "FG_NORMAL"),
    ],
)
def test_fg_encoded_becomes_an_explicit_fg_mode(tmp_path: Path, text: str, mode: str) -> None:
    data = load_config(write(tmp_path, with_data(text))).data_config
    assert data.HasField("fg_mode")
    assert not data.HasField("fg_encoded")
    assert FgMode.Name(data.fg_mode) == mode


def test_edit_of_fg_mode_or_fg_encoded_has_precedence(tmp_path: Path) -> None:
    path = write(tmp_path, with_data("fg_encoded: true"))
    assert load_config(path, {"data_config.fg_mode": "FG_DAG"}).data_config.fg_mode == FgMode.FG_DAG
    path = write(tmp_path, with_data("fg_mode: FG_DAG"))
    assert load_config(path, {"data_config.fg_encoded": "true"}).data_config.fg_mode == FgMode.FG_NONE


def test_edits_remove_locations_of_replaced_fields_only() -> None:
    before = load_source(str(MMOE))
    after = load_source(
        str(MMOE), {"data_config.label_fields": '["clk"]', "feature_configs[1].id_feature.embedding_dim": 8}
    )
    gone = set(before.locations) - set(after.locations)
    assert gone == {
        "data_config.label_fields",
        "data_config.label_fields[0]",
        "data_config.label_fields[1]",
        "feature_configs[1].id_feature.embedding_dim",
    }
    assert all(after.locations[path] == place for path, place in before.locations.items() if path not in gone)


def test_edit_of_num_steps_clears_num_epochs_and_the_reverse(tmp_path: Path) -> None:
    train = load_config(str(MMOE), {"train_config.num_steps": 200}).train_config
    assert (train.num_steps, train.num_epochs) == (200, 0)
    path = write(tmp_path, MMOE.read_text().replace("num_epochs: 1", "num_steps: 200"))
    train = load_config(path, {"train_config.num_epochs": 2}).train_config
    assert (train.num_steps, train.num_epochs) == (0, 2)


def messages(path: str, edits: dict[str, object] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, edits)
    return [str(problem) for problem in caught.value.problems]


def test_problems_of_text_and_edits_are_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, with_data("fg_mod: FG_DAG").replace("num_epochs: 1", "num_epochs: one"))
    problems = messages(path, {"data_config.batch_sise": 3, "model_config.mmoe": "num_expert: 3"})
    assert [line.split(":")[0].split("/")[-1] for line in problems[:2]] == ["my.config", "my.config"]
    assert "num_epochs" in problems[0]
    assert "fg_mod" in problems[1]
    assert 'no such field "batch_sise" in data_config; did you mean "batch_size"?' in problems[2]
    assert "model_config.mmoe.expert_mlp: is required and missing" in problems[3]
    assert len(problems) == 4


def test_invalid_json_is_an_error_with_its_location(tmp_path: Path) -> None:
    (problems,) = messages(write(tmp_path, '{"model_dir": "x",\n "b" 3}', "my.json"))
    assert "my.json:2:6" in problems
    (problems,) = messages(write(tmp_path, '{"modell_dir": "x"}', "my.json"))
    assert "modell_dir" in problems
    found_all = messages(write(tmp_path, "{}", "my.json"))
    assert ["train_input_path: is required" in found_all[0], "model_dir: is required" in found_all[1]] == [True] * 2


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    assert "cannot read the config: No such file or directory" in messages(str(tmp_path / "no.config"))[0]
    (tmp_path / "latin.config").write_bytes(b"model_dir: '\xe9'")
    assert "is not UTF-8 text: byte 12" in messages(str(tmp_path / "latin.config"))[0]


def test_byte_order_mark_and_unknown_fields_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "bom.config"
    path.write_bytes(b"\xef\xbb\xbf" + MMOE.read_bytes() + b"\nnew_section { a: 1 }\n")
    assert load_config(str(path), ignore_unknown=True) == load_config(str(MMOE))
