"""Requirements of computed features: a valid feature with one invalid value has one problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, field_problems_of, replaced

FILE = Path(__file__)
FEATURES = {
    "expr_feature": 'expression: "log(user_price / item_price) * 1e5 + _pi" '
    'variables: ["user:user_price", "item:item_price"]',
    "overlap_feature": 'query: "user:q" title: "item:t" method: "is_equal"',
    "kv_dot_product": 'query: "user:q" document: "item:d"',
    "tokenize_feature": f'expression: "item:t" vocab_file: "{FILE.name}" asset_dir: "{FILE.parent}" embedding_dim: 4',
    "custom_feature": 'operator_name: "my.module:Class" expression: ["user:a", "item:b"]',
    "bool_mask_feature": 'expression: ["user:v", "user:m"] num_buckets: 9 embedding_dim: 4',
}


def problems_of_feature(tmp_path: Path, kind: str, old: str = "", new: str = "") -> list[str]:
    text = FEATURES[kind].replace(old, new, 1) if old else f"{FEATURES[kind]} {new}"
    assert not new or text != FEATURES[kind]
    config = replaced(MMOE, '"price"]', '"price", "x"]')
    return field_problems_of(tmp_path, f'feature_configs {{ {kind} {{ feature_name: "x" {text} }} }}\n{config}')


@pytest.mark.parametrize("kind", FEATURES)
def test_valid_computed_feature_has_no_problems(tmp_path: Path, kind: str) -> None:
    assert problems_of_feature(tmp_path, kind) == []


CASES = [
    (
        "expr_feature",
        "log(user_price",
        "log(usr_price",
        'expression: unknown variable "usr_price"; did you mean "user_p',
    ),
    ("expr_feature", "", "boundaries: [2, 1] embedding_dim: 4", "boundaries[1]: 1 is not above 2"),
    ("expr_feature", "", "boundaries: [1, 2]", "embedding_dim: must be above 0"),
    ("expr_feature", "", 'default_value: "none"', 'default_value: "none" is not a number'),
    ("expr_feature", "user:user_price", "usr:user_price", 'variables[0]: "usr:user_price": unknown side "usr"'),
    ("expr_feature", "user:user_price", "feature:user_price", 'variables[0]: unknown feature "user_price"'),
    ("expr_feature", "", "mlp {}", "embedding_dim: must be above 0: the width of the mlp embedding"),
    ("overlap_feature", "", "embedding_dim: 4 boundaries: 1 mlp {}", "mlp: applies to numbers, and the values of this"),
    ("custom_feature", "", "embedding_dim: 4 value_dim: 3 autodis { num_channels: 4 }", "and value_dim is 3; use mlp"),
    (
        "kv_dot_product",
        "",
        "embedding_dim: 4 autodis { num_channels: 1 }",
        "num_channels: 1 is below 2; a mixture of one",
    ),
    (
        "expr_feature",
        "",
        "embedding_dim: 4 autodis { num_channels: 2 temperature: 0 }",
        "temperature: 0 is not above 0",
    ),
    (
        "expr_feature",
        "",
        'embedding_dim: 4 mlp {} pooling: "mean"',
        "pooling: applies to tables, and mlp has none",
    ),
    ("expr_feature", "", 'embedding_dim: 4 mlp {} embedding_name: "t"', "embedding_name: applies to tables, and mlp"),
    ("overlap_feature", "is_equal", "is_eqal", 'method: unknown method "is_eqal"; did you mean "is_equal"?'),
    ("overlap_feature", "user:q", "q", 'query: "q" is not side:name'),
    ("overlap_feature", "", 'normalizer: "method=log01"', 'normalizer: unknown method "log01"'),
    ("kv_dot_product", "item:d", "itm:d", 'document: "itm:d": unknown side "itm"'),
    ("kv_dot_product", "", "kv_delimiter: 1", "kv_delimiter: is not supported; the schema declares a number"),
    (
        "custom_feature",
        "",
        'operator_lib_file: "x.so"',
        'operator_lib_file: "x.so": shared libraries are not loaded',
    ),
    ("custom_feature", '["user:a", "item:b"]', "[]", "expression: is empty; list what the operator reads"),
    ("custom_feature", "", "embedding_dim: 4 num_buckets: 3 boundaries: 1", "boundaries: num_buckets is set as well"),
    ("custom_feature", "", "embedding_dim: 4 num_buckets: 3 hash_bucket_size: 1", "are set; choose one"),
    ("custom_feature", "", "embedding_dim: 4 num_buckets: 0", "num_buckets: 0 is below 1"),
    ("custom_feature", "", 'default_value: "x"', 'default_value: "x" is not a number'),
    (
        "tokenize_feature",
        "",
        'tokenizer_type: "bpf"',
        'tokenizer_type: unknown tokenizer_type "bpf"; did you mean "bpe"?',
    ),
    ("bool_mask_feature", '"user:v", ', "", "expression: 1 inputs; list two"),
    ("bool_mask_feature", "num_buckets: 9", "", 'feature "x" needs one of hash_bucket_size'),
    ("bool_mask_feature", "", 'default_value: "9"', '"9" is not in the num_buckets range [0, 9)'),
    ("bool_mask_feature", "", "zch { zch_size: 3 eviction_interval: 3 lfu {} }", "zch: is not supported"),
]


@pytest.mark.parametrize(("kind", "old", "new", "expected"), CASES, ids=[case[3][:40] for case in CASES])
def test_invalid_computed_feature_is_one_problem(tmp_path: Path, kind: str, old: str, new: str, expected: str) -> None:
    (line,) = problems_of_feature(tmp_path, kind, old, new)
    assert line.startswith(f"feature_configs[0].{kind}")
    assert expected in line


def test_formula_without_variables_is_a_problem(tmp_path: Path) -> None:
    inputs = 'variables: ["user:user_price", "item:item_price"]'
    (line,) = problems_of_feature(tmp_path, "expr_feature", inputs, "")
    assert "variables: is empty" in line


def test_cycle_through_a_later_input_is_a_problem(tmp_path: Path) -> None:
    other = 'feature_configs { raw_feature { feature_name: "y" expression: "feature:x" } }'
    one = FEATURES["expr_feature"].replace("item:item_price", "feature:y").replace("/ item_price", "/ y")
    text = f'feature_configs {{ expr_feature {{ feature_name: "x" {one} }} }}\n{other}\n{MMOE}'
    (line,) = field_problems_of(tmp_path, text)
    assert line == "feature_configs[0].expr_feature.variables[1]: features read each other in a cycle: x -> y -> x"
