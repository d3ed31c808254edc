"""Sequence features: messages of an element, and rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format

from tests.fixtures.checked_config import changed_config, field_problems_of, replaced
from tzrec.config.sequences import feature_members
from tzrec.protos.feature_pb2 import FeatureConfig

GROUP = (
    'feature_configs {\n sequence_feature {\n sequence_name: "click"\n sequence_length: 5\n sequence_delim: ";"\n'
    ' features { id_feature { feature_name: "cate"\n expression: "user:cate"\n embedding_dim: 4\n'
    " num_buckets: 10\n } }\n"
    ' features { combo_feature { feature_name: "x"\n expression: ["user:a", "item:b"]\n embedding_dim: 4\n'
    " hash_bucket_size: 10\n } }\n } }\n"
)
ALONE = (
    'feature_configs {\n sequence_raw_feature {\n feature_name: "s"\n expression: "user:prices"\n } }\n'
    'feature_configs {\n raw_feature {\n feature_name: "r"\n expression: "user:p"\n } }\n'
)


def parsed(text: str) -> FeatureConfig:
    return text_format.Parse(text, FeatureConfig())


def problems(tmp_path: Path, features: str, old: str = "", new: str = "") -> list[str]:
    text = changed_config("feature_configs {", replaced(features, old, new) + "feature_configs {")
    return field_problems_of(tmp_path, text)


def test_feature_members_of_a_sequence_feature_have_full_names() -> None:
    group = parsed(
        'sequence_feature { sequence_name: "s" sequence_length: 7 sequence_delim: "|" '
        'features { id_feature { feature_name: "a" expression: "user:a" embedding_dim: 4 num_buckets: 3 } } '
        "features { } "
        'features { expr_feature { feature_name: "e" expression: "a + b*log(b) + 1e5 + x.b" '
        'variables: ["item:a", "user:b"] default_value: "2" value_dim: 3 } } '
        'features { lookup_feature { feature_name: "l" map: "user:m" key: "item:k" } } '
        'features { match_feature { feature_name: "m" nested_map: "item:m" pkey: "ALL" skey: "feature:z" } } }'
    )
    first, formula, lookup, match = feature_members(group)
    assert first.path == "sequence_feature.features[0].id_feature"
    assert (first.message.feature_name, first.message.expression) == ("s__a", "user:s__a")
    assert (first.message.value_dim, first.message.default_value) == (1, "0")
    assert first.sequence is not None
    assert (first.sequence.inputs, first.sequence.delimiter) == ({"s__a"}, "|")
    assert (first.sequence.limit, first.sequence.group) == (7, "s")
    assert formula.path == "sequence_feature.features[2].expr_feature"
    assert formula.message.expression == "s__a + b*log(b) + 1e5 + x.b"
    assert list(formula.message.variables) == ["item:s__a", "user:b"]
    assert (formula.message.default_value, formula.message.value_dim) == ("2", 3)
    assert (lookup.message.map, lookup.message.key) == ("user:m", "item:s__k")
    assert not lookup.message.HasField("value_dim")
    assert (match.message.nested_map, match.message.pkey, match.message.skey) == ("item:s__m", "ALL", "feature:z")
    original = group.sequence_feature.features[0].id_feature
    assert (original.feature_name, original.HasField("value_dim")) == ("a", False)  # the config itself stays as it is


def test_feature_members_of_other_features() -> None:
    (plain,) = feature_members(parsed('id_feature { feature_name: "a" expression: "user:a" embedding_dim: 4 }'))
    assert (plain.sequence, plain.message.default_value) == (None, "")
    (alone,) = feature_members(
        parsed('sequence_id_feature { feature_name: "a" expression: "user:a" embedding_dim: 4 }')
    )
    assert alone.sequence is not None
    assert (alone.path, alone.sequence.inputs, alone.sequence.group) == ("sequence_id_feature", {"a"}, "")
    text = 'tokenize_feature { feature_name: "a" expression: "user:a" embedding_dim: 4 vocab_file: "v" '
    assert next(feature_members(parsed(text + "}"))).sequence is None
    (tokens,) = feature_members(parsed(text + "tokens_as_sequence: true sequence_length: 3 }"))
    assert tokens.sequence is not None
    assert (tokens.sequence.tokens, tokens.sequence.limit, tokens.sequence.inputs) == (True, 3, frozenset())
    assert list(feature_members(FeatureConfig())) == []


def test_valid_sequence_feature_has_no_problems(tmp_path: Path) -> None:
    assert problems(tmp_path, GROUP) == []
    assert problems(tmp_path, ALONE) == []
    assert problems(tmp_path, ALONE, '"user:prices"', '"user:prices" embedding_dim: 4 mlp {}') == []


CASES = [
    (GROUP, 'delim: ";"', 'delim: ""', "feature_configs[0].sequence_feature.sequence_delim: is empty"),
    (GROUP, '"item:b"', '"user:b"', "features[1].combo_feature.sequence_fields: no input is a sequence; name the ones"),
    (GROUP, "num_buckets: 10", "", 'features[0].id_feature: feature "click__cate" needs one of hash_bucket_size'),
    (GROUP, "num_buckets: 10", "num_buckets: 10 weighted: true", "id_feature.weighted: ids of a sequence have no"),
    (GROUP, "num_buckets: 10", 'num_buckets: 10 default_value: "x"', '"x" is not in the num_buckets range'),
    (GROUP, "num_buckets: 10", 'num_buckets: 1 sequence_fields: "cat"', 'unknown input "cat"; did you mean "cate"?'),
    (GROUP, '"x"', '"cate"', '"click__cate" is already the name of another feature'),
    (GROUP, "num_buckets: 10", "zch { zch_size: 5 }", "features[0].id_feature.zch: is not supported"),
    (GROUP, '"user:cate"', '"usr:cate"', 'id_feature.expression: "usr:cate": unknown side "usr"; did you mean "user"?'),
    (ALONE, '"user:prices"', '"usr:prices"', 'unknown side "usr"; did you mean "user"?'),
    (ALONE, '"user:prices"', '"user:prices" mlp {}', "sequence_raw_feature.embedding_dim: must be above 0: the width"),
    (ALONE, '"user:prices"', '"feature:r"', "sequence_raw_feature.sequence_fields: no input is a sequence"),
]


@pytest.mark.parametrize(("features", "old", "new", "expected"), CASES, ids=[case[3][:40] for case in CASES])
def test_invalid_sequence_feature_is_one_problem(
    tmp_path: Path, features: str, old: str, new: str, expected: str
) -> None:
    (line,) = problems(tmp_path, features, old, new)
    assert expected in line


def test_tokens_as_sequence_in_a_sequence_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text("{}")
    text = (
        'feature_configs {\n sequence_tokenize_feature { feature_name: "s"\n expression: "user:a"\n embedding_dim: 4\n'
        f' vocab_file: "{tmp_path}/v.json"\n tokens_as_sequence: true\n }} }}\n'
    )
    (line,) = problems(tmp_path, text)
    assert "tokens_as_sequence: each element is a text" in line


def test_feature_that_reads_a_sequence_is_a_sequence(tmp_path: Path) -> None:
    again = 'feature_configs {\n sequence_raw_feature {\n feature_name: "t"\n expression: "feature:s"\n } }\n'
    assert problems(tmp_path, ALONE + again) == []
