from __future__ import annotations

import random
import time

import pytest
from google.protobuf import text_format
from google.protobuf.struct_pb2 import Struct

from tests.fixtures.checked_config import MMOE
from tests.fixtures.random_messages import fill
from tzrec.config.parser import parse
from tzrec.errors import ConfigError
from tzrec.protos.data_pb2 import DataConfig
from tzrec.protos.feature_pb2 import CustomFeature, FeatureConfig, IdFeature
from tzrec.protos.module_pb2 import MLP
from tzrec.protos.optimizer_pb2 import AdamOptimizer
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("style", [{}, {"as_one_line": True}, {"use_short_repeated_primitives": True}])
def test_parse_of_random_messages_equals_protobuf(seed: int, style: dict[str, bool]) -> None:
    message = EasyRecConfig()
    fill(message, random.Random(seed))
    text = text_format.MessageToString(message, **style)
    parsed = parse(text, EasyRecConfig(), "x")
    assert parsed.problems == []
    assert parsed.message == text_format.Parse(text, EasyRecConfig())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (MLP, "hidden_units: [512, 256]"),
        (MLP, "hidden_units: 512 hidden_units: 0x10, hidden_units: 017; hidden_units: []"),
        (MLP, "dropout_ratio: [1, .5, 1e-3, 2.f, 1.5F] use_bn: True use_ln: f bias: 1 activation: ''"),
        (MLP, "use_bn: false bias: t"),
        (AdamOptimizer, "lr: nan beta1: inf beta2: -inf eps: -infinity weight_decay: infinity"),
        (DataConfig, "dataset_type: ParquetDataset fg_mode: 3 # a comment { [ \n label_fields: ['a', \"b\"]"),
        (DataConfig, 'delimiter: "\\x1d" fg_encoded_multival_sep: "\\003" odps_data_quota_name: "\\t\\n\\\'\\"\\\\"'),
        (DataConfig, "label_fields: 'one' \" string\" '' label_fields: \"two\""),
        (DataConfig, "negative_sampler < input_path: 'x', num_sample: 1; item_id_field: 'i' >"),
        (DataConfig, "input_fields: [{input_name: 'a'}, <input_name: 'b' input_type: ARRAY_INT64>] input_fields {}"),
        (IdFeature, 'vocab_dict: [{key:"a" value:2}, {key:"b" value:3}] vocab_dict {key: "c"} vocab_dict {value: 1}'),
        (FeatureConfig, "id_feature: { feature_name: '\\346\\225\\260' expression: 'user:数' embedding_dim: 1 }"),
        (CustomFeature, 'operator_params { fields { key: "a" value { number_value: 1.5 } } }'),
        (Struct, 'fields { key: "l" value { list_value { values { bool_value: true } values { struct_value {} } } } }'),
        (
            Struct,
            'fields { key: "n" value { null_value: NULL_VALUE } } fields { key: "s" value { string_value: "x" } }',
        ),
        (EasyRecConfig, ""),
        (EasyRecConfig, "\r\n# only a comment\r\nmodel_dir: 'x'\r\n"),
        (EasyRecConfig, MMOE),
    ],
)
def test_parse_of_hand_written_text_equals_protobuf(kind: type, text: str) -> None:
    expected = text_format.Parse(text, kind())
    parsed = parse(text, kind(), "x")
    assert str(parsed.message) == str(expected)  # as text, since NaN equals nothing
    assert all("required" in problem.message for problem in parsed.problems)


def test_quoted_bool_is_accepted() -> None:
    parsed = parse("use_bn: 'true' bias: \"False\"", MLP(), "x")
    assert (parsed.message.use_bn, parsed.message.bias, parsed.problems) == (True, False, [])


def test_locations_are_those_of_names_and_list_elements() -> None:
    places = parse(MMOE, EasyRecConfig(), "x").locations
    assert places["train_input_path"] == (2, 1)
    assert places["train_config.sparse_optimizer.adagrad_optimizer.lr"] == (9, 13)
    assert places["data_config.label_fields"] == (29, 5)
    assert places["data_config.label_fields[1]"] == (29, 27)
    assert places["feature_configs[2]"] == (48, 1)
    assert places["feature_configs[2].raw_feature.boundaries[1]"] == (52, 27)
    assert places["model_config.mmoe.task_towers[1].label_name"] == (82, 13)


def problems(text: str, kind: type) -> list[str]:
    return [str(problem) for problem in parse(text, kind(), "f").problems]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (MLP, "\n hiden_units: 3", 'f:2:2 hiden_units: no such field; did you mean "hidden_units"?'),
        (MLP, "hidden_units: [1, -2]", "f:1:19 hidden_units[1]: expected an integer of 32 bits from 0 up, received -2"),
        (MLP, "hidden_units: 1.5", "f:1:15 hidden_units[0]: expected an integer of 32 bits from 0 up, received 1.5"),
        (MLP, "hidden_units: 5000000000", "expected an integer of 32 bits from 0 up, received 5000000000"),
        (MLP, "activation: nn", "f:1:13 activation: expected a string, received nn; strings need quotes"),
        (MLP, "activation: '\\xff'", "activation: expected a string, received '\\xff'"),
        (MLP, "use_bn: yes", "f:1:9 use_bn: expected true or false, received yes"),
        (MLP, "use_bn: [true]", "f:1:1 use_bn: expected one value, received a list"),
        (MLP, "use_bn {}", "f:1:8 use_bn: expected true or false, received a message"),
        (DataConfig, "dataset_type: CsvDatset", 'no such value "CsvDatset" of DatasetType; did you mean "CsvDataset"?'),
        (DataConfig, "dataset_type: 9", 'no such value "9" of DatasetType; known: OdpsDataset, ParquetDataset'),
        (
            DataConfig,
            "dataset_type: 'CsvDataset'",
            "expected a bare enum value, received 'CsvDataset'",
        ),
        (DataConfig, "batch_size: 1", "f:1:1 dataset_type: is required and missing"),
        (FeatureConfig, "id_feature: 3", "f:1:13 id_feature: expected a message { ... }, received 3"),
        (
            FeatureConfig,
            "id_feature { feature_name: 'a' expression: 'b' }",
            "f:1:1 id_feature.embedding_dim: is required",
        ),
    ],
)
def test_invalid_text_is_one_problem(kind: type, text: str, expected: str) -> None:
    (problem,) = problems(text, kind)
    assert expected in " ".join(problem.split())


def test_second_member_of_a_oneof_is_a_problem() -> None:
    text = "raw_feature { feature_name: 'a' expression: 'b' }\nexpr_feature { feature_name: 'a' expression: 'b' }"
    (problem,) = problems(text, FeatureConfig)
    assert "f:2:1" in problem
    assert 'only one feature can be chosen, and line 1 chooses "raw_feature"' in problem


def test_misspelled_field_is_reported_once_and_read_as_the_known_field() -> None:
    parsed = parse("id_featur { feature_name: 'a' expresion: 'b' embeding_dim: 'x' }", FeatureConfig(), "f")
    assert [problem.field for problem in parsed.problems] == [
        "id_featur",
        "id_feature.expresion",
        "id_feature.embeding_dim",
        "id_feature.embedding_dim",
    ]
    assert parsed.message.id_feature.expression == "b"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("train_config {\n  num_steps: 3\n", "f:1:14", 'this "{" is never closed by "}"'),
        ("model_dir: data/x", "f:1:16", 'expected a field name; strings need quotes, got "/"'),
        ('model_dir: "x\n', "f:1:12", "unterminated string"),
        ("model_dir: '\\xzz'", "f:1:12", "bad escape"),
        ("model_dir 'x'", "f:1:1", 'expected ":" or "{" after "model_dir"'),
        ("model_dir:\n}", "f:2:1", 'expected a value, got "}"'),
        ("data_config { label_fields: ['a' 'b', ] }", "f:1:39", 'expected a value, got "]"'),
        ("data_config { label_fields: [1; 2] }", "f:1:31", 'expected "," or "]", got ";"'),
        ("a {" * 101 + "}" * 101, "f:1:303", "nested deeper than 100 messages"),
    ],
)
def test_syntax_error_has_its_location(text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, EasyRecConfig(), "f")
    (problem,) = caught.value.problems
    assert problem.location == place
    assert message in problem.message


def test_unknown_fields_are_skipped_with_ignore_unknown() -> None:
    parsed = parse("use_bn: true brand_new { x: [1] }", MLP(), "f", ignore_unknown=True)
    assert parsed.problems == []
    assert parsed.message.use_bn


def test_three_hundred_lines_load_in_fifty_milliseconds() -> None:
    feature = MMOE[MMOE.index("feature_configs") : MMOE.index("model_config")]
    text = MMOE + feature * 9
    assert text.count("\n") > 300
    times = []
    for _ in range(5):
        start = time.perf_counter()
        parse(text, EasyRecConfig(), "f")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05
