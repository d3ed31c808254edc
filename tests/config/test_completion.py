"""Completion: what TorchEasyRec's texts leave out although the schema requires it, or say twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, changed_config, problems_of, replaced
from tzrec.config.check import inspect
from tzrec.config.load import dump_config, load_config, load_source

ENCODED = MMOE.replace("FG_DAG", "FG_NONE")
SEQUENCE = """
feature_configs { sequence_feature { sequence_name: "clicks" sequence_length: 10 sequence_delim: ";"
  features { id_feature { feature_name: "cate_id" hash_bucket_size: 13000 embedding_dim: 16 } }
  features { raw_feature { feature_name: "price" } } } }
"""
GROUP = """sequence_groups { feature_names: ["cate_id", "clicks__cate_id"] }
        sequence_encoders { din_encoder { attn_mlp { hidden_units: 4 } } }"""


def load(tmp_path: Path, text: str) -> tuple[object, list[str]]:
    path = tmp_path / "my.config"
    path.write_text(text)
    checker = inspect(load_source(str(path)))
    assert [str(problem) for problem in checker.problems] == []
    return checker.config, [str(warning).removeprefix(f"{tmp_path}/") for warning in checker.warnings]


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_BUCKETIZE"])
def test_missing_input_of_encoded_data_is_the_column_of_the_feature(tmp_path: Path, mode: str) -> None:
    text = (
        MMOE.replace("FG_DAG", mode).replace('expression: "item:price"', "").replace('expression: "user:user_id"', "")
    )
    config, warnings = load(tmp_path, text)
    assert config.feature_configs[0].id_feature.expression == "item:user_id"  # type: ignore[attr-defined]
    assert config.feature_configs[2].raw_feature.expression == "item:price"  # type: ignore[attr-defined]
    assert warnings == []


def test_missing_input_of_raw_data_is_a_problem(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, MMOE.replace('expression: "item:price"', ""))
    assert problem.endswith("feature_configs[2].raw_feature.expression: is required and missing")


@pytest.mark.parametrize(
    ("feature", "inputs"),
    [
        ("lookup_feature { embedding_dim: 4 num_buckets: 3", {"map": "item:f", "key": "item:f"}),
        ("combo_feature { embedding_dim: 4 hash_bucket_size: 3", {"expression": ["item:f"]}),
        ("expr_feature {", {"expression": "f", "variables": ["item:f"]}),
        (
            "match_feature { embedding_dim: 4 num_buckets: 3",
            {"nested_map": "item:f", "pkey": "item:f", "skey": "item:f"},
        ),
        ('overlap_feature { method: "query_common_ratio"', {"query": "item:f", "title": "item:f"}),
        ("kv_dot_product {", {"query": "item:f", "document": "item:f"}),
    ],
)
def test_missing_inputs_of_every_kind_of_encoded_feature_are_its_column(
    tmp_path: Path, feature: str, inputs: dict[str, object]
) -> None:
    added = f'feature_configs {{ {feature} feature_name: "f" }} }}\nmodel_config {{'
    config, _ = load(tmp_path, replaced(ENCODED, "model_config {", added, '"price"]', '"price", "f"]'))
    entry = config.feature_configs[3]  # type: ignore[attr-defined]
    message = getattr(entry, entry.WhichOneof("feature"))
    found = {name: getattr(message, name) for name in inputs}
    assert {name: list(v) if not isinstance(v, str) else v for name, v in found.items()} == inputs


def test_encoder_without_input_reads_the_only_sequence_group(tmp_path: Path) -> None:
    group = "group_type: DEEP\n        " + GROUP
    text = replaced(ENCODED, "model_config {", SEQUENCE + "model_config {", "group_type: DEEP", group)
    config, _ = load(tmp_path, text)
    encoders = config.model_config.feature_groups[0].sequence_encoders  # type: ignore[attr-defined]
    assert encoders[0].din_encoder.input == "all"
    named = text.replace("sequence_groups {", 'sequence_groups { group_name: "history"')
    config, _ = load(tmp_path, named)
    encoders = config.model_config.feature_groups[0].sequence_encoders  # type: ignore[attr-defined]
    assert encoders[0].din_encoder.input == "history"
    two = named.replace(
        "sequence_encoders", GROUP.split("\n")[0].replace("{", '{ group_name: "b"') + " sequence_encoders", 1
    )
    assert any(".din_encoder.input: is required and missing" in problem for problem in problems_of(tmp_path, two))


def test_missing_field_with_a_default_has_it(tmp_path: Path) -> None:
    text = changed_config(
        "            lr: 0.001\n", "", "num_expert: 3", "", 'eval_input_path: "data/eval/*.parquet"', ""
    )
    config, _ = load(tmp_path, text)
    assert config.train_config.sparse_optimizer.adagrad_optimizer.lr == pytest.approx(0.002)  # type: ignore[attr-defined]
    assert config.model_config.mmoe.num_expert == 3  # type: ignore[attr-defined]
    assert config.eval_input_path == ""  # type: ignore[attr-defined]


def test_completed_config_is_saved_complete(tmp_path: Path) -> None:
    path, saved = tmp_path / "a.config", tmp_path / "b.config"
    path.write_text(ENCODED.replace('expression: "item:price"', ""))
    config = load_config(str(path))
    saved.write_text(dump_config(config))
    assert load_config(str(saved)) == config
    assert 'expression: "item:price"' in saved.read_text()


def test_scalar_that_is_set_twice_has_its_last_value_and_a_warning(tmp_path: Path) -> None:
    config, warnings = load(tmp_path, changed_config("batch_size: 8192", "batch_size: 1\n    batch_size: 2"))
    assert config.data_config.batch_size == 2  # type: ignore[attr-defined]
    assert warnings == ["my.config:27:5 data_config.batch_size: is set twice, first at line 26; the last value counts"]


def test_message_that_is_set_twice_is_a_problem(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, MMOE + "\neval_config {}\n")
    assert "eval_config: is set twice, first at line" in problem


@pytest.mark.parametrize("kernel", ["TRITON", "CUTLASS"])
def test_kernel_that_is_not_there_is_a_warning(tmp_path: Path, kernel: str) -> None:
    _, warnings = load(tmp_path, changed_config("    mmoe {", f"    kernel: {kernel}\n    mmoe {{"))
    (warning,) = warnings
    assert warning.endswith(f"kernel: {kernel} has no effect: PYTORCH is used, which has the same results")


def test_fp16_on_the_cpu_is_a_warning(tmp_path: Path) -> None:
    _, warnings = load(tmp_path, changed_config("num_epochs: 1", "num_epochs: 1\n    mixed_precision: 'FP16'"))
    assert warnings == ['my.config:22:5 train_config.mixed_precision: "FP16" needs CUDA; on cpu BF16 is used']


def test_name_of_a_grouped_sequence_with_one_underscore_is_resolved(tmp_path: Path) -> None:
    group = "group_type: DEEP\n        " + GROUP.replace("clicks__cate_id", "clicks_cate_id")
    text = replaced(ENCODED, "model_config {", SEQUENCE + "model_config {", "group_type: DEEP", group)
    config, _ = load(tmp_path, text)
    names = config.model_config.feature_groups[0].sequence_groups[0].feature_names  # type: ignore[attr-defined]
    assert list(names) == ["cate_id", "clicks__cate_id"]


def test_name_with_one_underscore_of_two_sequences_is_a_problem(tmp_path: Path) -> None:
    group = "group_type: DEEP\n        " + GROUP.replace("clicks__cate_id", "clicks_u_cate_id")
    first = SEQUENCE.replace('"clicks"', '"clicks_u"')
    second = SEQUENCE.replace('feature_name: "cate_id"', 'feature_name: "u_cate_id"')
    text = replaced(ENCODED, "model_config {", first + second + "model_config {", "group_type: DEEP", group)
    assert any('unknown feature "clicks_u_cate_id"' in problem for problem in problems_of(tmp_path, text))


def test_feature_with_the_name_of_a_grouped_sequence_is_meant_itself(tmp_path: Path) -> None:
    own = 'feature_configs { raw_feature { feature_name: "clicks_price" } }\n'
    text = replaced(ENCODED, "model_config {", SEQUENCE + own + "model_config {", '"price"]', '"clicks_price"]')
    config, _ = load(tmp_path, text)
    names = config.model_config.feature_groups[0].feature_names  # type: ignore[attr-defined]
    assert list(names) == ["user_id", "cate_id", "clicks_price"]


UNREAD = 'feature_configs { id_feature { feature_name: "u" expression: "user:u" num_buckets: 9 %s } }\nmodel_config {'


@pytest.mark.parametrize("text", ["", "stub_type: true"])
def test_missing_width_of_a_feature_without_a_group_is_zero(tmp_path: Path, text: str) -> None:
    config, _ = load(tmp_path, replaced(MMOE, "model_config {", UNREAD % text))
    assert config.feature_configs[3].id_feature.embedding_dim == 0  # type: ignore[attr-defined]
    (problem,) = problems_of(tmp_path, replaced(MMOE, "model_config {", UNREAD % "", '"price"]', '"price", "u"]'))
    assert problem.endswith("id_feature.embedding_dim: is required and missing")


@pytest.mark.parametrize("name", ["clicks__cate_id", "clicks_cate_id"])
def test_missing_width_of_a_feature_of_a_sequence_group_is_a_problem(tmp_path: Path, name: str) -> None:
    group = "group_type: DEEP\n        " + GROUP.replace("clicks__cate_id", name)
    sequence = replaced(SEQUENCE, "embedding_dim: 16", "")
    text = replaced(ENCODED, "model_config {", sequence + "model_config {", "group_type: DEEP", group)
    assert any("embedding_dim: is required and missing" in problem for problem in problems_of(tmp_path, text))


def test_missing_width_of_a_managed_table_is_no_problem_of_its_own(tmp_path: Path) -> None:
    managed = "num_buckets: 9 zch { zch_size: 5 lfu {} }"
    text = replaced(
        MMOE, "model_config {", (UNREAD % "").replace("num_buckets: 9", managed), '"price"]', '"price", "u"]'
    )
    problems = problems_of(tmp_path, text)
    assert not any("embedding_dim" in problem for problem in problems)


def test_missing_length_of_a_sequence_is_no_limit(tmp_path: Path) -> None:
    group = "group_type: DEEP\n        " + GROUP
    sequence = replaced(SEQUENCE, "sequence_length: 10", "")
    config, _ = load(
        tmp_path, replaced(ENCODED, "model_config {", sequence + "model_config {", "group_type: DEEP", group)
    )
    assert config.feature_configs[3].sequence_feature.sequence_length == 0  # type: ignore[attr-defined]


def test_missing_label_of_a_tower_is_the_only_label(tmp_path: Path) -> None:
    text = changed_config('label_name: "clk"', "")
    (problem,) = problems_of(tmp_path, text)
    assert problem.endswith("task_towers[0].label_name: is required and missing")
    labels = 'label_fields: ["clk", "buy"]'
    one = replaced(text, labels, 'label_fields: "clk"', 'label_name: "buy"', "")
    config, _ = load(tmp_path, one)
    towers = config.model_config.mmoe.task_towers  # type: ignore[attr-defined]
    assert [tower.label_name for tower in towers] == ["clk", "clk"]


def test_missing_input_of_a_tower_is_the_only_group(tmp_path: Path) -> None:
    head = MMOE[: MMOE.index("mmoe {")]
    tower = "multi_tower { towers { mlp { hidden_units: 4 } } final { hidden_units: 4 } }"
    config, _ = load(tmp_path, f"{head} losses {{ binary_cross_entropy {{}} }} {tower} }}")
    model = config.model_config  # type: ignore[attr-defined]
    assert model.multi_tower.towers[0].input == model.feature_groups[0].group_name


def test_missing_path_may_be_given_by_an_edit(tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    path.write_text(changed_config('train_input_path: "data/train/*.parquet"', ""))
    (problem,) = load_source(str(path)).problems
    assert str(problem).endswith("train_input_path: is required and missing")
    source = load_source(str(path), {"train_input_path": "x/*.parquet"})
    assert (source.problems, source.config.train_input_path) == ((), "x/*.parquet")


def test_missing_vocabulary_file_is_a_warning(tmp_path: Path) -> None:
    file = 'vocab_file: "no/words.txt" default_bucketize_value: 0'
    _, warnings = load(tmp_path, replaced(MMOE, "model_config {", (UNREAD % "").replace("num_buckets: 9", file)))
    expected = '.vocab_file: there is no file "no/words.txt": training fails until there is one'
    assert [warning for warning in warnings if warning.endswith(expected)]
