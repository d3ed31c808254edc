"""Rules of sequence groups and their encoders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import changed_config, problems_of

FEATURES = """feature_configs {
    sequence_feature {
        sequence_name: "h" sequence_length: 50 sequence_delim: ";"
        features { id_feature { feature_name: "cate" expression: "item:cate" embedding_name: "cate_id_emb"
                                hash_bucket_size: 13000 embedding_dim: 16 } }
        features { raw_feature { feature_name: "price" expression: "item:price" } }
    }
}
feature_configs {
    sequence_feature {
        sequence_name: "n" sequence_length: 50 sequence_delim: ";"
        features { id_feature { feature_name: "cate" expression: "item:cate" embedding_name: "cate_id_emb"
                                hash_bucket_size: 13000 embedding_dim: 16 } }
    }
}
feature_configs { id_feature { feature_name: "tags" expression: "item:tags" num_buckets: 5 embedding_dim: 4
                               weighted: true } }
feature_configs { raw_feature { feature_name: "age" expression: "user:age" stub_type: true } }
model_config {
"""
GROUPS = """group_type: DEEP
        sequence_groups { group_name: "clicks" feature_names: ["cate_id", "h__cate", "h__price"] }
        sequence_groups { group_name: "cates" feature_names: ["cate_id", "h__cate"] embedding_name_suffix: "b" }
        sequence_encoders { din_encoder { input: "clicks" attn_mlp { hidden_units: [8] } } }
        sequence_encoders { simple_attention { input: "cates" } }
        sequence_encoders { pooling_encoder { input: "clicks" pooling_type: "sum" max_seq_length: 10 } }
        sequence_encoders { self_attention_encoder { input: "cates" multihead_attn_dim: 8 num_heads: 2 } }
        sequence_groups { group_name: "others" feature_names: ["n__cate"] }
        sequence_encoders { dien_encoder { input: "cates" negatives: "group" negative_input: "others" } }
        sequence_groups { group_name: "recent" feature_names: ["cate_id", "h__cate", "h__price"] }
        sequence_encoders { bst_encoder { input: "recent" num_attention_heads: 1 } }
        sequence_encoders { transact_encoder { input: "recent" time_gap: "h__price" } }
        sequence_encoders {
            multi_window_din_encoder { input: "cates" attn_mlp { hidden_units: 8 } windows_len: [1, 2] }
        }
"""


def text(*pairs: str) -> str:
    return changed_config("model_config {", FEATURES, "group_type: DEEP", GROUPS, *pairs)


def test_valid_sequence_groups_have_no_problems(tmp_path: Path) -> None:
    assert problems_of(tmp_path, text()) == []


CASES: list[tuple[str, str, str]] = [
    (
        'feature_names: ["user_id", "cate_id", "price"]',
        'feature_names: ["user_id", "h__cate"]',
        'feature_names[1]: "h__cate" is a sequence of any number of elements; list it in the sequence_groups of a DEEP',
    ),
    ('"h__price"]', '"h__prise"]', 'feature_names[2]: unknown feature "h__prise"; did you mean "h__price"?'),
    (
        '["cate_id", "h__cate", "h__price"]',
        '["tags", "h__cate", "h__price"]',
        '"tags" has weighted ids, which no sequence group can use',
    ),
    ('"h__price"]', '"h__price", "age"]', '"age" is a stub, which only other features may read'),
    (
        '{ simple_attention { input: "cates" } }',
        "{}",
        "sequence_encoders[1]: no encoder is chosen; use one of din_encoder,",
    ),
    ('simple_attention { input: "cates"', 'simple_attention { input: "cate"', 'is named "cate"; did you mean "cates"?'),
    (
        'simple_attention { input: "cates"',
        'simple_attention { input: "clicks"',
        'simple_attention.input: group "clicks": the features of the row are 16 wide and those of an element 17; '
        "make them equal or use",
    ),
    (
        '["cate_id", "h__cate", "h__price"]',
        '["h__cate", "h__price"]',
        'din_encoder.input: group "clicks": has nothing to compare its elements with; list the features of the row',
    ),
    (
        '["cate_id", "h__cate", "h__price"]',
        '["cate_id", "user_id", "h__cate", "h__price"]',
        'din_encoder.input: group "clicks": the features of the row are 32 wide and those of an element 17; '
        "leave some of the former out",
    ),
    ('pooling_type: "sum"', 'pooling_type: "max"', 'pooling_type: unknown pooling_type "max"'),
    ("max_seq_length: 10", "max_seq_length: -1", "max_seq_length: -1 is below 0"),
    ("num_heads: 2", "num_heads: 3", "multihead_attn_dim: 8 is not a multiple of num_heads 3"),
    ("num_heads: 2", "num_heads: 0", "num_heads: 0 is below 1"),
    ("num_heads: 2", "dropout: 1", "dropout: 1 is not in [0, 1)"),
    ('negatives: "group"', "", "dien_encoder.negatives: is not set; name the source of the negatives"),
    ('negatives: "group"', 'negatives: "groups"', 'negatives: unknown negatives "groups"; did you mean "group"?'),
    ('negative_input: "others"', 'negative_input: "other"', 'is named "other"; did you mean "others"?'),
    (
        'negatives: "group"',
        'negatives: "batch"',
        'dien_encoder.negative_input: is only read with negatives: "group"',
    ),
    (
        '["n__cate"]',
        '["n__cate", "h__price"]',
        'dien_encoder.negative_input: elements of "others" are 17 wide and those of "cates" 16; make them equal',
    ),
    (
        'input: "others"',
        'input: "others" hidden_dim: 8 auxiliary_score: "dot"',
        "auxiliary_score: states are 8 wide and elements 16; leave hidden_dim out or use mlp",
    ),
    (
        'input: "others"',
        'input: "others" auxiliary_mlp { hidden_units: 8 } auxiliary_score: "dot"',
        'auxiliary_mlp: is not used with auxiliary_score: "dot"',
    ),
    (
        "num_attention_heads: 1",
        "num_attention_heads: 2",
        "bst_encoder.num_attention_heads: 2 is no divisor of the width of a token, 17",
    ),
    (
        "num_attention_heads: 1",
        "hidden_size: 12 num_attention_heads: 8",
        "bst_encoder.num_attention_heads: 8 is no divisor of the width of a token, 12",
    ),
    ("num_attention_heads: 1", "num_attention_heads: 1 max_position_embeddings: 1", "max_position_embeddings: 1 is be"),
    (
        "num_attention_heads: 1",
        'num_attention_heads: 1 target_item_position: "first"',
        'target_item_position: unknown target_item_position "first"',
    ),
    (
        'time_gap: "h__price"',
        'time_gap: "h__price" num_heads: 3',
        "transact_encoder.num_heads: 3 is no divisor of the width of a token, 32: element without time_gap, and",
    ),
    (
        'time_gap: "h__price"',
        'time_gap: "h__cate" num_heads: 1',
        '"h__cate" is not a single number; name a raw_feature',
    ),
    ("windows_len: [1, 2]", "", "windows_len: is empty; give the elements of each window"),
    ("windows_len: [1, 2]", "windows_len: [1, 0]", "windows_len[1]: 0 is below 1; give the elements"),
    ("attn_mlp { hidden_units: [8] }", "attn_mlp { hidden_units: [0] }", "hidden_units[0]: 0 is below 1"),
]


@pytest.mark.parametrize(("old", "new", "expected"), CASES, ids=[f"{i}-{case[2][:40]}" for i, case in enumerate(CASES)])
def test_invalid_sequence_group_is_one_problem(tmp_path: Path, old: str, new: str, expected: str) -> None:
    lines = problems_of(tmp_path, text(old, new))
    assert any(expected in line for line in lines), lines
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('group_name: "cates"', "", "sequence_groups[1]: has no group_name, by which encoders refer to it"),
        ('group_name: "cates"', 'group_name: "all"', '"all" is already the name of another group'),
        ('group_name: "cates"', 'group_name: "clicks"', '"clicks" is already the name of another group'),
    ],
    ids=["none", "of its group", "of another"],
)
def test_missing_or_duplicate_group_name_is_a_problem(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """Encoders that read a group of this name are problems too."""
    first, *others = problems_of(tmp_path, text(old, new))
    assert expected in first
    assert all('no sequence group of this group is named "cates"' in line for line in others)


def test_sequence_group_without_an_encoder_is_a_problem(tmp_path: Path) -> None:
    idle = 'sequence_groups { group_name: "idle" feature_names: "h__cate" }'
    (line,) = problems_of(tmp_path, text("sequence_encoders", f"{idle}\nsequence_encoders"))
    assert 'sequence_groups[2]: nothing reads it; add a sequence_encoder with input "idle"' in line


def test_sequence_group_without_a_sequence_is_a_problem(tmp_path: Path) -> None:
    group = 'sequence_groups { group_name: "flat" feature_names: "cate_id" }\n'
    encoder = 'sequence_encoders { pooling_encoder { input: "flat" } }\n'
    (line,) = problems_of(tmp_path, text("sequence_encoders", f"{group}{encoder}sequence_encoders"))
    assert "sequence_groups[2].feature_names: none of these features is a sequence" in line


def test_single_sequence_group_has_the_name_of_its_group(tmp_path: Path) -> None:
    one = """group_type: DEEP
        sequence_groups { feature_names: ["cate_id", "h__cate"] }
        sequence_encoders { simple_attention { input: "all" } }
"""
    assert problems_of(tmp_path, changed_config("model_config {", FEATURES, "group_type: DEEP", one)) == []


@pytest.mark.parametrize("kind", ["SEQUENCE", "JAGGED_SEQUENCE"])
def test_group_of_sequences_is_a_problem_of_models_that_do_not_read_it(tmp_path: Path, kind: str) -> None:
    group = f"""feature_groups {{ group_name: "seq" feature_names: ["cate_id", "h__cate"] group_type: {kind} }}
    mmoe {{"""
    (line,) = problems_of(tmp_path, text("mmoe {", group))
    assert f"group_type: mmoe does not read {kind} groups; use sequence_groups and sequence_encoders" in line


def test_sequences_of_a_wide_group_are_problems(tmp_path: Path) -> None:
    lines = problems_of(tmp_path, text("group_type: DEEP", "group_type: WIDE"))
    assert any("sequence_groups: is not allowed in a WIDE group; move it to a DEEP group" in line for line in lines)
    assert any("sequence_encoders: is not allowed in a WIDE group" in line for line in lines)


def test_suffixes_of_sequence_groups_with_one_table_name_are_a_problem(tmp_path: Path) -> None:
    """`cate_id_emb` + `b_c` and `cate_id_emb_b` + `c`; the table of the same name for bags is another one."""
    other = FEATURES.replace(
        "model_config {",
        """feature_configs { sequence_id_feature { feature_name: "x"
        expression: "user:x" num_buckets: 9 embedding_dim: 16 embedding_name: "cate_id_emb_b" sequence_delim: ";" } }
model_config {""",
    )
    groups = (
        GROUPS.replace('suffix: "b"', 'suffix: "b_c"')
        + """
        sequence_groups { group_name: "x" feature_names: "x" embedding_name_suffix: "c" }
        sequence_encoders { pooling_encoder { input: "x" } }
"""
    )
    (line,) = problems_of(tmp_path, changed_config("model_config {", other, "group_type: DEEP", groups))
    assert 'makes the table name "cate_id_emb_b_c", which "cate_id_emb + b_c" makes too' in line


LONG = """
        sequence_groups { group_name: "clicks" feature_names: ["cate_id", "h__cate", "h__price"] }
        sequence_encoders {
            sim_encoder { input: "clicks" category: "cate_id" sequence_category: "h__cate" time_gap: "h__price" }
        }
        sequence_encoders { eta_encoder { input: "clicks" multihead_attn_dim: 8 } }
        sequence_encoders { sdim_encoder { input: "clicks" num_bits: 8 bits_per_signature: 2 } }
"""
LONG_CASES = [
    ("", "", ""),
    (
        'category: "cate_id" sequence',
        'category: "h__cate" sequence',
        'sim_encoder.category: "h__cate" is a sequence; name a feature of the row',
    ),
    (
        'sequence_category: "h__cate"',
        'sequence_category: "cate_id"',
        'sim_encoder.sequence_category: "cate_id" is a feature of the row; name a feature of the elements',
    ),
    (
        'sequence_category: "h__cate"',
        'sequence_category: "h__price"',
        'sequence_category: "h__price" is a number and has no ids; name a feature with ids, e.g. an id_feature',
    ),
    (
        'time_gap: "h__price"',
        'time_gap: "h__cate"',
        'time_gap: "h__cate" is not a single number; name a raw_feature without boundaries and embedding',
    ),
    (
        'category: "cate_id" sequence',
        'category: "user_id" sequence',
        'sim_encoder.category: "user_id" is not in group "clicks"; list it there',
    ),
    ('category: "cate_id" sequence', 'category: "kate" sequence', 'sim_encoder.category: unknown feature "kate"'),
    ("attn_dim: 8", "attn_dim: 6", "eta_encoder.multihead_attn_dim: 6 is not a multiple of num_heads 4"),
    ("num_bits: 8", "num_bits: 9", "sdim_encoder.num_bits: 9 is not a multiple of bits_per_signature 2"),
]


@pytest.mark.parametrize(("old", "new", "expected"), LONG_CASES)
def test_encoders_of_long_sequences_name_features_of_their_group(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    groups = "group_type: DEEP" + LONG.replace(old, new, 1)
    problems = problems_of(tmp_path, changed_config("model_config {", FEATURES, "group_type: DEEP", groups))
    assert len(problems) == (1 if expected else 0), problems
    assert all(expected in problem for problem in problems)
