from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.features.reference.hashes import bucket
from tests.fixtures.features import config_problem, elements_by_row, encoder, reports
from tzrec.features.bad_rows import BadRows

HASHED = "hash_bucket_size: 100 embedding_dim: 4"


def h(word: str) -> int:
    return bucket(word, 100, False)


def encode(text: str, columns: dict[str, Any], mode: str = "FG_DAG") -> tuple[list[list[Any]], BadRows]:
    """Return the elements of the feature "f" or "s__f"."""
    outputs, bad = encoder(text, mode=mode).encode(pa.table(columns))
    (column,) = outputs.values()
    return elements_by_row(column), bad


def group(*features: str, length: int = 10) -> str:
    inner = " ".join(f"features {{ {feature} }}" for feature in features)
    return f'sequence_feature {{ sequence_name: "s" sequence_length: {length} sequence_delim: ";" {inner} }}'


def sequence_id(text: str = "") -> str:
    return f'sequence_id_feature {{ feature_name: "f" expression: "user:c" {HASHED} {text} }}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # ids that TorchEasyRec's feature tests assert; a missing sequence is one element of the default, or of "0"
        ("value_dim: 0", [[[33, 44], [66]], [[26]], [[66]]]),
        ("value_dim: 1", [[[33], [66]], [[26]], [[66]]]),
        ("", [[[33], [66]], [[26]], [[66]]]),
        ('default_value: "xyz"', [[[33], [66]], [[13]], [[66]]]),
        ("value_dim: 0 sequence_length: 1", [[[33, 44]], [[26]], [[66]]]),
    ],
)
def test_ids_of_elements_equal_those_of_torcheasyrec(text: str, expected: list[list[list[int]]]) -> None:
    elements, bad = encode(sequence_id(text), {"c": ["abc\x1defg;hij", "", "hij"]})
    assert elements == expected
    assert not bad


def test_user_word_is_crossed_with_every_element() -> None:
    """Ids that TorchEasyRec's feature tests assert: the user's word is repeated for every element."""
    text = f'expression: ["user:u", "item:c"] {HASHED} value_dim: 0'
    elements, _ = encode(
        f'sequence_combo_feature {{ feature_name: "f" {text} }}',
        {"u": ["ua", "uc", "ub"], "c": ["abc\x1defg;hij", "", "hij"]},
    )
    assert elements == [[[2, 42], [3]], [[26]], [[23]]]


@pytest.mark.parametrize(
    "values",
    [
        ["abc;;hij", None, "", "xyz;", ";"],
        [["abc", None, "hij"], None, [], ["xyz", None], ["", ""]],
        pa.array([["abc", None, "hij"], None, [], ["xyz", ""], ["", None]], pa.large_list(pa.large_string())),
        pa.array(["-", "abc;;hij", None, "", "xyz;", ";"], pa.large_string()).slice(1),
        pa.array(["abc;;hij", None, "", "xyz;", ";"]).dictionary_encode(),
        pa.chunked_array([["abc;;hij", None], ["", "xyz;", ";"]], pa.string()),
    ],
    ids=["string", "list", "large_list", "slice", "dictionary", "chunks"],
)
def test_empty_elements_keep_their_position(values: Any) -> None:
    """An empty element takes the default, so that the elements of several columns stay aligned."""
    elements, bad = encode(sequence_id(), {"c": values})
    assert elements == [[[33], [26], [66]], [[26]], [[26]], [[13], [26]], [[26], [26]]]
    assert not bad


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1, 2], None, [3]], [[["1"], ["2"]], [["0"]], [["3"]]]),
        ([[[1, 2], [3]], [], [[4]]], [[["1", "2"], ["3"]], [["0"]], [["4"]]]),
        ([7, None, 8], [[["7"]], [["0"]], [["8"]]]),
    ],
)
def test_numbers_are_elements(values: Any, expected: list[list[list[str]]]) -> None:
    elements, _ = encode(sequence_id("value_dim: 0"), {"c": values})
    assert elements == [[[h(word) for word in element] for element in row] for row in expected]


def test_sequence_length_keeps_first_elements() -> None:
    assert encode(sequence_id("sequence_length: 2"), {"c": ["abc;efg;hij", "abc"]})[0] == [[[33], [44]], [[33]]]
    listed = {"c": [["abc", "efg", "hij"], ["abc"]]}
    assert encode(sequence_id("sequence_length: 2"), listed)[0] == [[[33], [44]], [[33]]]
    assert encode(sequence_id('sequence_delim: "||"'), {"c": ["abc||efg", "hij"]})[0] == [[[33], [44]], [[66]]]


# config, columns and elements of two rows, one of them without a sequence, by feature type
CASES: dict[str, tuple[str, dict[str, Any], list[list[Any]]]] = {
    "id_feature": (
        f'expression: "item:a" {HASHED}',
        {"a": ["abc;efg", None]},
        [[[33], [44]], [[26]]],
    ),
    "raw_feature": (
        'expression: "item:a" value_dim: 2 normalizer: "method=minmax,min=0,max=2" default_value: "7\x1d8"',
        {"a": ["1\x1d2;;4\x1d0", ""]},
        [[[0.5, 1], [7, 8], [2, 0]], [[7, 8]]],
    ),
    "combo_feature": (
        f'expression: ["user:u", "item:a", "item:b"] {HASHED}',
        {"u": ["x", "y"], "a": ["abc;efg", None], "b": [[1, None], None]},
        [[[h("x_abc_1")], [26]], [[26]]],
    ),
    "combine_feature": (
        'expression: "item:a" combiner: "max" default_value: "-1"',
        {"a": ["1\x1d3;2", None]},
        [[[3], [2]], [[-1]]],
    ),
    "lookup_feature": (
        'map: "user:m" key: "item:a" default_value: "9"',
        {"m": ["abc:1\x1defg:2", "abc:3"], "a": ["efg;abc;hij", None]},
        [[[2], [1], [9]], [[9]]],
    ),
    "match_feature": (
        'nested_map: "user:m" pkey: "item:a" skey: "item:b" default_value: "9"',
        {"m": ["p^x:1,y:2|q^x:3", "p^x:1"], "a": ["p;q;q", None], "b": ["y;x;y", ""]},
        [[[2], [3], [9]], [[9]]],
    ),
    "expr_feature": (
        'expression: "a + 10 * b" variables: ["item:a", "user:b"] default_value: "0.5"',
        {"a": ["1;2;", None], "b": [1.0, 2.0]},
        [[[11], [12], [0.5]], [[0.5]]],
    ),
    "overlap_feature": (
        'query: "user:q" title: "item:a" method: "query_common_ratio"',
        {"q": ["x\x1dy", "x"], "a": ["x\x1dz;x\x1dy;z", None]},
        [[[0.5], [1], [0]], [[0]]],
    ),
    "kv_dot_product": (
        'query: "user:q" document: "item:a" default_value: "9"',
        {"q": ["x:2\x1dy:3", "x:1"], "a": ["x:1\x1dy:1;x:0.5;;z", None]},
        [[[5], [1], [9], [0]], [[9]]],
    ),
    "bool_mask_feature": (
        f'expression: ["item:a", "item:b"] value_dim: 0 {HASHED}',
        {"a": ["abc\x1defg\x1dhij;xyz", None], "b": ["1\x1d0\x1d1;0", None]},
        [[[33, 66], [26]], [[26]]],
    ),
    "custom_feature": (
        'expression: ["item:a", "user:b"] operator_name: "tests.features.operators:Scaled" default_value: "9"',
        {"a": [[1.0, 2.0, None], None], "b": [10.0, 20.0]},
        [[[11], [12], [9]], [[9]]],
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_every_feature_type_is_computed_per_element(kind: str) -> None:
    text, columns, expected = CASES[kind]
    elements, bad = encode(f'sequence_{kind} {{ feature_name: "f" {text} }}', columns)
    assert elements == expected
    assert not bad


@pytest.mark.parametrize("mode", ["FG_DAG", "FG_NORMAL"])
@pytest.mark.parametrize("kind", CASES)
def test_every_feature_type_is_computed_in_group(kind: str, mode: str) -> None:
    """Sequence inputs are prefixed by the name of the group; of several inputs those of the items are sequences."""
    text, columns, expected = CASES[kind]
    alone = kind in ("id_feature", "raw_feature", "combine_feature")
    renamed = {f"s__{name}" if alone or f'"item:{name}"' in text else name: values for name, values in columns.items()}
    built = encoder(group(f'{kind} {{ feature_name: "f" {text} }}'), mode=mode)
    assert sorted(built.columns) == sorted(renamed)
    (feature,) = built.features.values()
    assert (feature.name, feature.sequence, feature.is_sequence) == ("s__f", "s", True)
    assert feature.table is None or feature.table.name == "s__f_emb"
    outputs, bad = built.encode(pa.table(renamed))
    assert elements_by_row(outputs["s__f"]) == expected
    assert not bad


ENCODED = [
    ("id_feature", ["1\x032;3", "", None], [[[1, 2], [3]], [], []]),
    ("id_feature", [[1, 3], [], None], [[[1], [3]], [], []]),
    ("id_feature", [[[1, 2], [3]], [], None], [[[1, 2], [3]], [], []]),
    ("combo_feature", ["4;5", None, "6"], [[[4], [5]], [], [[6]]]),
    ("bool_mask_feature", [[4, 5], None, [6]], [[[4], [5]], [], [[6]]]),
    ("raw_feature", ["1\x032;3\x034", "", None], [[[1, 2], [3, 4]], [], []]),
    ("raw_feature", [[1.0, 2.0, 3.0, 4.0], [], None], [[[1, 2], [3, 4]], [], []]),
    ("raw_feature", [[[1.0, 2.0], [3.0, 4.0]], [], None], [[[1, 2], [3, 4]], [], []]),
    ("lookup_feature", [[1.0, 2.0], [], None], [[[1], [2]], [], []]),
    ("match_feature", ["1;2", "", None], [[[1], [2]], [], []]),
    ("combine_feature", ["1;2", "", None], [[[1], [2]], [], []]),
    ("expr_feature", ["1;2", "", None], [[[1], [2]], [], []]),
    ("overlap_feature", ["1;2", "", None], [[[1], [2]], [], []]),
    ("kv_dot_product", [[1.0, 2.0], [], None], [[[1], [2]], [], []]),
    ("custom_feature", [[1.0, 2.0], [], None], [[[1], [2]], [], []]),
]


@pytest.mark.parametrize(("kind", "values", "expected"), ENCODED)
@pytest.mark.parametrize("form", ["alone", "group"])
def test_encoded_sequences_are_read(kind: str, values: Any, expected: list[list[Any]], form: str) -> None:
    """Encoded data has one column per feature; a missing sequence has no element."""
    text = f'{kind} {{ feature_name: "f" {CASES[kind][0]} }}'
    elements, bad = encode(
        f"sequence_{text}" if form == "alone" else group(text),
        {"f" if form == "alone" else "s__f": values},
        mode="FG_NONE",
    )
    assert elements == expected
    assert not bad


@pytest.mark.parametrize("kind", CASES)
def test_bucketize_data_is_bucketized_per_element(kind: str) -> None:
    """FG_BUCKETIZE maps values to ids; a missing sequence has one element, as in the other raw modes."""
    sparse = "hash_bucket_size" in CASES[kind][0]
    text = CASES[kind][0].replace("value_dim: 2", "value_dim: 1").replace("7\x1d8", "7")
    values = ["abc;efg", None] if sparse else ["1;2", None]
    elements, bad = encode(f'sequence_{kind} {{ feature_name: "f" {text} }}', {"f": values}, mode="FG_BUCKETIZE")
    defaults = {"raw_feature": 7, "combine_feature": -1, "expr_feature": 0.5, "overlap_feature": 0}
    assert elements == ([[[33], [44]], [[26]]] if sparse else [[[1], [2]], [[defaults.get(kind, 9)]]])
    assert not bad


BAD = [
    ('raw_feature {{ {} expression: "item:a" }}', {"a": ["1;x;3", "y"]}, [[[1], [0], [3]], [[0]]], "not a number"),
    (
        'id_feature {{ {} expression: "item:a" num_buckets: 9 embedding_dim: 4 }}',
        {"a": ["1;9;x;3", "-1"]},
        [[[1], [0], [0], [3]], [[0]]],
        "out of range [0, 9)",
    ),
    (
        'expr_feature {{ {} expression: "1/a" variables: "item:a" }}',
        {"a": ["1;0", "x"]},
        [[[1], [0]], [[0]]],
        "not finite",
    ),
    (
        'kv_dot_product {{ {} query: "item:a" document: "item:a" }}',
        {"a": ["x:2;x:y", "x:z"]},
        [[[4], [0]], [[0]]],
        "weight is not a finite number",
    ),
    (
        'combine_feature {{ {} expression: "item:a" default_value: "0" }}',
        {"a": ["1;x", "y"]},
        [[[1], [0]], [[0]]],
        "not a number",
    ),
]


@pytest.mark.parametrize(("text", "columns", "expected", "reason"), BAD)
def test_bad_elements_are_reported_with_row(
    text: str, columns: dict[str, Any], expected: list[list[Any]], reason: str
) -> None:
    elements, bad = encode("sequence_" + text.format('feature_name: "f"'), columns)
    assert elements == expected
    assert any(reason in report[1] and report[2] in ([0], [0, 1]) for report in reports(bad))
    assert bad.mask.tolist() == [True, True]


def test_bad_elements_are_reported_with_value() -> None:
    _, bad = encode(sequence_id("").replace("hash_bucket_size: 100", "num_buckets: 9"), {"c": ["1;x;y", "", "7;z"]})
    assert reports(bad) == [("c", "not an integer", [0, 2], ["x", "z"])]


def test_inputs_of_unequal_lengths_are_bad() -> None:
    """The longest input counts and the row is bad, unless the shorter one is missing."""
    text = f'sequence_combo_feature {{ feature_name: "f" expression: ["item:a", "item:b"] {HASHED} }}'
    elements, bad = encode(text, {"a": ["x;y", "x", "x;y"], "b": ["1;2", "1;2", None]})
    assert elements == [[[h("x_1")], [h("y_2")]], [[h("x_1")], [26]], [[26], [26]]]
    assert reports(bad) == [("a", "has another number of elements than the other inputs", [1], ["x"])]


def test_features_of_group_with_unequal_lengths_are_bad() -> None:
    built = encoder(
        group(
            f'id_feature {{ feature_name: "a" expression: "user:a" {HASHED} }}',
            'raw_feature { feature_name: "b" expression: "user:b" }',
        )
    )
    _, bad = built.encode(pa.table({"s__a": ["x;y", "x;y", ""], "s__b": ["1;2", "1", ""]}))
    reason = "has another number of elements than the other inputs"
    assert reports(bad) == [("s__b", reason, [1], ["1 elements, not the 2 of s__a"])]


def test_feature_input_of_sequence_is_sequence() -> None:
    """A `feature:` input is a sequence if that feature is one."""
    built = encoder(
        'sequence_raw_feature { feature_name: "x" expression: "user:x" stub_type: true default_value: "3" }',
        'sequence_expr_feature { feature_name: "e" expression: "2*x" variables: "feature:x" }',
        group('raw_feature { feature_name: "twice" expression: "feature:e" boundaries: [3, 5] embedding_dim: 2 }'),
    )
    outputs, bad = built.encode(pa.table({"x": ["1;2", None]}))
    assert {name: elements_by_row(column) for name, column in outputs.items()} == {
        "e": [[[2], [4]], [[6]]],
        "s__twice": [[[0], [1]], [[2]]],
    }
    assert not bad


def test_sequence_fields_choose_sequence_inputs() -> None:
    text = f'combo_feature {{ feature_name: "f" expression: ["user:u", "item:i"] {HASHED} sequence_fields: {{}} }}'
    columns = {"u": ["ab;cd"], "i": ["1;2"]}
    expected = [[h("ab_1;2"), h("cd_1;2")]]
    for fields in ('"u"', '["user:u"]'):
        assert encode("sequence_" + text.replace("{}", fields), columns)[0] == [[[element] for element in expected[0]]]
        assert sorted(encoder(group(text.replace("{}", fields))).columns) == ["i", "s__u"]
    both = text.replace("{}", '["u", "i"]')
    assert encode("sequence_" + both, columns)[0] == [[[h("ab_1")], [h("cd_2")]]]


def test_user_and_item_inputs_of_same_name_differ_in_group() -> None:
    """A user's column and a sequence column of the same name are two columns."""
    text = f'combo_feature {{ feature_name: "f" expression: ["user:cate", "item:cate"] {HASHED} }}'
    assert encode(group(text), {"cate": ["u"], "s__cate": ["a;b"]})[0] == [[[h("u_a")], [h("u_b")]]]
    formula = 'expr_feature { feature_name: "f" expression: "min(a, 3) + a" variables: ["item:a"] }'
    assert encode(group(formula), {"s__a": ["1;9"]})[0] == [[[2], [12]]]


def test_texts_are_tokenized_per_element(tokenizer: Path) -> None:
    text = f'tokenize_feature {{ feature_name: "f" expression: "item:a" vocab_file: "{tokenizer}" embedding_dim: 4 }}'
    expected = [[[3, 1], [2]], [[0]]]
    assert encode("sequence_" + text, {"a": ["ab a;b", None]})[0] == expected
    assert encode(group(text), {"s__a": [["ab a", "b"], None]})[0] == expected
    assert encode("sequence_" + text, {"f": [[[3, 1], [2]], None]}, "FG_NONE")[0] == [[[3, 1], [2]], []]
    assert encode("sequence_" + text, {"f": ["ab a;b", None]}, "FG_BUCKETIZE")[0] == expected


def test_tokens_as_sequence_makes_tokens_elements(tokenizer: Path) -> None:
    text = f'feature_name: "f" expression: "item:a" vocab_file: "{tokenizer}" embedding_dim: 4 tokens_as_sequence: true'
    tokens, short = f"tokenize_feature {{ {text} }}", f"tokenize_feature {{ {text} sequence_length: 2 }}"
    assert encode(tokens, {"a": ["ab a;b b", "", "b"]})[0] == [[[3], [1], [2], [2]], [[0]], [[2]]]
    assert encode(short, {"a": ["ab a;b b", "", "b"]})[0] == [[[3], [1]], [[0]], [[2]]]
    assert encode(tokens, {"a": ["b", "ab"]})[0] == [[[2]], [[3]]]
    assert encode(short, {"f": ["3;1;2", None]}, "FG_NONE")[0] == [[[3], [1]], []]
    assert encode(tokens, {"f": [[3, 1, 2], None]}, "FG_NONE")[0] == [[[3], [1], [2]], []]
    assert encode(tokens, {"f": ["ab a", None]}, "FG_BUCKETIZE")[0] == [[[3], [1]], [[0]]]


def test_encoded_vectors_of_wrong_width_are_bad() -> None:
    text = 'sequence_raw_feature { feature_name: "f" expression: "item:a" value_dim: 2 }'
    elements, bad = encode(text, {"f": [[1.0, 2.0], [3.0], [5.0, 6.0, 7.0, 8.0]]}, mode="FG_NONE")
    assert elements == [[[1, 2]], [], [[5, 6], [7, 8]]]
    assert reports(bad) == [("f", "not a multiple of 2 values", [1], [[3.0]])]


def test_empty_batch_has_no_elements() -> None:
    built = encoder(sequence_id(), group('raw_feature { feature_name: "p" expression: "item:p" }'))
    outputs, bad = built.encode(
        pa.table({"c": pa.array([], pa.string()), "s__p": pa.array([], pa.list_(pa.float32()))})
    )
    assert [(column.sequence_lengths.tolist(), len(column.values)) for column in outputs.values()] == [([], 0), ([], 0)]
    assert outputs["s__p"].values.shape == (0, 1)
    assert not bad


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        (sequence_id("weighted: true"), "weighted", "no weights"),
        (sequence_id('sequence_delim: ""'), "sequence_delim", "is empty"),
        (sequence_id().replace("user:c", "const:1"), "sequence_fields", "no input is a sequence"),
        (
            f'sequence_combo_feature {{ feature_name: "f" expression: ["user:a", "user:b"] {HASHED} }}',
            "sequence_fields",
            "no input is a sequence",
        ),
    ],
)
def test_invalid_config_is_rejected(text: str, field: str, message: str) -> None:
    problem = config_problem(text)
    assert problem.field.endswith(field)
    assert message in problem.message


def test_batch_equals_rows_encoded_alone() -> None:
    """A batch has the same elements as its rows encoded one by one."""
    rng = np.random.default_rng(3)
    words = ["", "a", "b\x1dc", "é"]
    texts = [";".join(rng.choice(words, rng.integers(0, 5))) or None for _ in range(50)]
    text = sequence_id("value_dim: 0 sequence_length: 3")
    elements, _ = encode(text, {"c": texts})
    assert elements == [encode(text, {"c": pa.array([text_of_row], pa.string())})[0][0] for text_of_row in texts]
