"""JSON Schema of configs: what `tzrec check` accepts, and no value that a rule of a field rejects."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from jsonschema import Draft202012Validator

from tests.fixtures.random_messages import fill
from tzrec.config.json_schema import json_schema
from tzrec.config.load import load_config, load_source
from tzrec.config.options import field_rule
from tzrec.config.roots import ROOTS
from tzrec.config.rules.fields import is_within
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.schema import main

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "examples" / "configs").glob("*.config"))
SCHEMA = json_schema(EasyRecConfig.DESCRIPTOR)
VALIDATOR = Draft202012Validator(SCHEMA)
INFINITIES = ("Infinity", "-Infinity", "NaN")
RULES = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "minItems", "pattern", "enum"}
RULES |= {"const", "not", "required", "anyOf"}
"""Keywords of rules of values; random messages violate them."""
NUMBERS = (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE)


def as_json(path: Path, has_schema_names: bool = True) -> Any:
    return json_format.MessageToDict(load_config(str(path)), preserving_proto_field_name=has_schema_names)


def problems(config: Any) -> list[str]:
    """List where a config violates the schema, with the message of the innermost violation."""
    found = []
    for error in VALIDATOR.iter_errors(config):
        path = ".".join(map(str, error.absolute_path))
        found.append(f"{path}: {error.message}")
    return found


def messages(root: Descriptor) -> Iterator[Descriptor]:
    """Iterate over a message and all messages that its fields have, without maps and those of protobuf itself."""
    pending, known = [root], set()
    while pending:
        message = pending.pop()
        if message.full_name in known or message.file.package != root.file.package:
            continue
        known.add(message.full_name)
        if not message.GetOptions().map_entry:
            yield message
        pending += [field.message_type for field in message.fields if field.message_type is not None]


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.name)
def test_schema_of_each_root_is_a_valid_schema(root: Descriptor) -> None:
    schema = json_schema(root)
    Draft202012Validator.check_schema(schema)
    assert set(schema["$defs"]) >= {message.name for message in messages(root)}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_example_config_as_json_is_accepted(path: Path) -> None:
    has_schema_names = len(path.stem) % 2 == 0  # half of them with the names of protobuf's JSON
    assert problems(as_json(path, has_schema_names)) == []


def test_mistakes_in_json_are_found_at_their_place() -> None:
    config = as_json(ROOT / "examples" / "configs" / "mmoe_taobao.config")
    model, feature = config["model_config"]["mmoe"], config["feature_configs"][0]["id_feature"]
    model["num_expert"] = 0
    model["nun_expert"] = 3
    model["task_towers"][0]["losses"][0]["l2_loss"] = {}  # two members of a oneof
    feature["embedding_dim"] = "16"
    config["data_config"]["dataset_type"] = "ParquetDatset"
    del config["model_dir"]
    found = problems(config)
    assert any("model_config.mmoe.num_expert: 0 is less than the minimum of 1" in text for text in found)
    assert any(text.startswith("model_config.mmoe: 'nun_expert' does not match") for text in found)
    assert any(text.startswith("model_config.mmoe.task_towers.0.losses.0: ") for text in found)
    assert any("feature_configs.0.id_feature.embedding_dim: '16' is not of type 'integer'" in text for text in found)
    assert any(text.startswith("data_config.dataset_type: 'ParquetDatset' is not one of") for text in found)
    assert any(text.startswith(": ") and text.endswith("is not valid under any of the given schemas") for text in found)
    assert len(found) == 6


def test_numbers_at_the_bounds_of_all_rules_are_judged_like_the_checker() -> None:
    judged = 0
    for message in messages(EasyRecConfig.DESCRIPTOR):
        for field in message.fields:
            rule = field_rule(field)
            bounds = [getattr(rule, name) for name in ("min", "max") if rule.HasField(name)]
            if not bounds or rule.unsupported:
                continue
            property_schema = SCHEMA["$defs"][message.name]["properties"][field.name]
            schema = property_schema["items"] if field.is_repeated else property_schema
            validator = Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]})
            steps = (-1, 0, 1) if field.type not in NUMBERS else (-1e-3, 0, 1e-3)
            for value in (bound + step for bound in bounds for step in steps):
                is_unsigned = field.type in (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64)
                expected = is_within(rule, value) and not (is_unsigned and value < 0)
                assert validator.is_valid(value) == expected, f"{field.full_name}: {value}"
                judged += 1
            if field.type in NUMBERS:
                assert validator.is_valid("Infinity") == is_within(rule, math.inf), field.full_name
    assert judged > 500


def test_words_and_enums_without_support_are_rejected() -> None:
    config = as_json(ROOT / "examples" / "configs" / "mmoe_taobao.config")
    config["train_config"]["delta_embedding_dump_config"] = {}
    config["train_config"]["mixed_precision"] = "BF17"
    config["train_config"]["is_profiling"] = True  # has no effect: a warning of `check`, struck through by editors
    found = problems(config)
    assert [text.partition(":")[0] for text in found] == [
        "train_config.mixed_precision",
        "train_config.delta_embedding_dump_config",
    ]
    assert SCHEMA["$defs"]["TrainConfig"]["properties"]["is_profiling"]["deprecated"] is True


def test_every_field_has_a_description_and_its_default() -> None:
    for message in messages(EasyRecConfig.DESCRIPTOR):
        properties = SCHEMA["$defs"][message.name]["properties"]
        for field in message.fields:
            assert properties[field.name]["description"], field.full_name
            assert ("default" in properties[field.name]) == field.has_default_value, field.full_name
    assert SCHEMA["$defs"]["TrainConfig"]["properties"]["nonfinite_loss"]["default"] == "STOP_TRAINING"
    assert SCHEMA["$defs"]["AITM"]["properties"]["calibrator_weight"]["default"] == 0.6


def test_structure_of_random_messages_is_accepted() -> None:
    """Bounds and words aside, the JSON that protobuf writes of a message fits the schema: names, types and oneofs."""
    for seed in range(60):
        config = EasyRecConfig()
        fill(config, random.Random(seed), depth=4)
        content = json_format.MessageToDict(config, preserving_proto_field_name=seed % 2 == 0)
        kinds = {error.validator for error in VALIDATOR.iter_errors(content) if error.instance not in INFINITIES}
        assert kinds <= RULES, seed


def test_config_that_names_its_schema_is_loaded(tmp_path: Path) -> None:
    content = as_json(ROOT / "examples" / "configs" / "mmoe_taobao.config")
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"$schema": "./tzrec.schema.json", **content}))
    source = load_source(str(path))
    assert source.problems == ()
    assert problems(json.loads(path.read_text())) == []


def test_command_writes_the_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
    path = tmp_path / "server.json"
    assert main(["--message", "ServeConfig", "--output", str(path)]) == 0
    assert json.loads(path.read_text())["$ref"] == "#/$defs/ServeConfig"
    assert capsys.readouterr().out == f"wrote   {path}\n"
