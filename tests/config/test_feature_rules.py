"""Requirements of features that read several columns, and of their bucketizers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, changed_config, field_problems_of, problems_of, replaced

COMBO = (
    'feature_configs {\n combo_feature {\n feature_name: "s"\n expression: ["user:user_id", "item:cate_id"]\n'
    " embedding_dim: 4\n hash_bucket_size: 10\n } }\n"
)


LOOKUP = (
    'feature_configs {\n lookup_feature {\n feature_name: "s"\n map: "user:kv"\n key: "item:cate_id"\n'
    " embedding_dim: 4\n hash_bucket_size: 10\n } }\n"
)
MATCH = (
    'feature_configs {\n match_feature {\n feature_name: "s"\n nested_map: "user:kkv"\n pkey: "ALL"\n'
    ' skey: "item:cate_id"\n embedding_dim: 4\n hash_bucket_size: 10\n } }\n'
)
COMBINE = (
    'feature_configs {\n combine_feature {\n feature_name: "s"\n expression: "user:tags"\n'
    " embedding_dim: 4\n num_buckets: 10\n } }\n"
)


def problems(tmp_path: Path, feature: str, *pairs: str) -> list[str]:
    """Problems of the valid config with one more feature, after replacements."""
    text = changed_config("feature_configs {", replaced(feature, *pairs) + "feature_configs {")
    return field_problems_of(tmp_path, text.replace('"price"]', '"price", "s"]'))


@pytest.mark.parametrize("feature", [COMBO, LOOKUP, MATCH, COMBINE])
def test_valid_feature_has_no_problems(tmp_path: Path, feature: str) -> None:
    assert problems(tmp_path, feature) == []
    if feature != COMBO:
        rows = "num_buckets: 10" if feature == COMBINE else "hash_bucket_size: 10"
        assert problems(tmp_path, feature, rows, "boundaries: [1, 2]") == []
        assert problems(tmp_path, feature, rows, 'default_value: "1" normalizer: "method=log10"') == []


SIZE = "hash_bucket_size: 10"


@pytest.mark.parametrize(
    ("feature", "old", "new", "expected"),
    [
        (LOOKUP, '"user:kv"', '"kv"', 'lookup_feature.map: "kv" is not side:name'),
        (LOOKUP, '"item:cate_id"', '"feature:cat_id"', 'lookup_feature.key: unknown feature "cat_id"'),
        (MATCH, '"item:cate_id"', '"all"', 'match_feature.skey: "all" is not side:name'),
        (LOOKUP, SIZE, "need_discrete: true", ".need_discrete: values that are ids need one of"),
        (LOOKUP, SIZE, 'combiner: "men"', 'unknown combiner "men"; did you mean "mean"?'),
        (LOOKUP, SIZE, 'combiner: ""', 'unknown combiner ""'),
        (LOOKUP, SIZE, "num_buckets: 3 need_key: true", ".need_key: values that begin with a key are text"),
        (MATCH, SIZE, "show_pkey: true", ".show_pkey: values that begin with a key are text"),
        (LOOKUP, SIZE, SIZE + " boundaries: 1", ".boundaries: hash_bucket_size is set as well; choose one"),
        (LOOKUP, SIZE, SIZE + " num_buckets: 3", "hash_bucket_size and num_buckets are set; choose one"),
        (LOOKUP, SIZE, "value_dim: 0", ".value_dim: 0 (any number of values) is for ids only"),
        (MATCH, SIZE, "value_dim: 2", ".value_dim: 2; a match is one number"),
        (LOOKUP, SIZE, 'value_dim: 2 default_value: "1,x"', '.default_value: "x" is not a number'),
        (MATCH, SIZE, "boundaries: [2, 1]", ".boundaries[1]: 1 is not above 2"),
        (
            LOOKUP,
            SIZE,
            SIZE + " mlp {}",
            "mlp: applies to numbers, and the values of this feature become ids; choose one",
        ),
        (
            COMBINE,
            "num_buckets: 10",
            "mlp {} trainable: false",
            ".trainable: applies to tables, and mlp has none",
        ),
        (MATCH, SIZE, "zch { zch_size: 5 }", "zch: is not supported; use hash_bucket_size"),
        (LOOKUP, SIZE, SIZE + ' fg_value_type: "float"', 'unknown fg_value_type "float"'),
        (COMBINE, "num_buckets: 10", "num_buckets: 10 boundaries: 1", "num_buckets and boundaries are set"),
        (COMBINE, "num_buckets: 10", 'num_buckets: 10 normalizer: "method=log10"', ".normalizer: num_buckets uses"),
        (COMBINE, "num_buckets: 10", 'combiner: "gap_min"', '"gap_min" is not supported; use one of sum, mean'),
        (COMBINE, "num_buckets: 10", 'normalizer: "method=log"', ".normalizer: "),
        (COMBINE, "num_buckets: 10", "num_buckets: 0", ".num_buckets: 0 is below 1"),
        (COMBINE, "embedding_dim: 4", "", ".embedding_dim: must be above 0"),
    ],
)
def test_invalid_lookup_match_or_combine_feature_is_one_problem(
    tmp_path: Path, feature: str, old: str, new: str, expected: str
) -> None:
    [line] = problems(tmp_path, feature, old, new)
    assert expected in line


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (', "item:cate_id"]', "]", ".expression: 1 input; a cross needs 2 or more"),
        (
            '"item:cate_id"]',
            '"itm:cate_id"]',
            '.expression[1]: "itm:cate_id": unknown side "itm"; did you mean "item"?',
        ),
        ("hash_bucket_size: 10", "", 'feature "s" needs one of hash_bucket_size, vocab_list, vocab_dict, vocab_file'),
        ("hash_bucket_size: 10", 'hash_bucket_size: 10 vocab_list: "a"', "hash_bucket_size and vocab_list are set"),
        ("hash_bucket_size: 10", "hash_bucket_size: 0", ".hash_bucket_size: 0 is below 1"),
        ("hash_bucket_size: 10", 'vocab_list: "a" default_bucketize_value: 1', "1 is not below the 1 rows"),
        ("hash_bucket_size: 10", 'vocab_file: "x"', ".vocab_file: needs default_bucketize_value"),
        ("hash_bucket_size: 10", "zch { zch_size: 5 }", "zch: is not supported; use hash_bucket_size"),
        ("embedding_dim: 4", "", ".embedding_dim: must be above 0"),
        ('"item:cate_id"]', '"feature:cat_id"]', 'unknown feature "cat_id"; did you mean "cate_id"?'),
    ],
)
def test_invalid_combo_feature_is_one_problem(tmp_path: Path, old: str, new: str, expected: str) -> None:
    [line] = problems(tmp_path, COMBO, old, new)
    assert expected in line
    assert "combo_feature" in line


def test_vocabulary_file_determines_the_number_of_rows(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("a\nb\n")
    file = f'vocab_file: "words" asset_dir: "{tmp_path}" default_bucketize_value: '
    assert problems(tmp_path, COMBO, "hash_bucket_size: 10", file + "1") == []
    [line] = problems(tmp_path, COMBO, "hash_bucket_size: 10", file + "2")
    assert "2 is not below the 2 rows of the table" in line


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_BUCKETIZE", "FG_NORMAL", "FG_DAG"])
def test_every_fg_mode_is_valid(tmp_path: Path, mode: str) -> None:
    assert problems_of(tmp_path, MMOE.replace("fg_mode: FG_DAG", f"fg_mode: {mode}")) == []
