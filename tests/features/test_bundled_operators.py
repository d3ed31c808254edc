"""The operators that custom_feature has by itself: EditDistance, RegexReplace and SeqExpr."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.checked_config import MMOE, replaced
from tests.fixtures.features import config_problem, elements_by_row, encode_columns, encoder, ids_by_row, reports
from tzrec.config.check import inspect
from tzrec.config.load import load_source
from tzrec.features.bad_rows import BadRows
from tzrec.features.column import Column


def table_of(**columns: Any) -> pa.Table:
    return pa.table(columns)


def param(**values: str) -> str:
    fields = (f'fields {{ key: "{key}" value {{ string_value: "{value}" }} }}' for key, value in values.items())
    return f"operator_params {{ {' '.join(fields)} }}"


def custom(operator: str, inputs: list[str], text: str = "", kind: str = "custom_feature") -> str:
    names = ", ".join(f'"{name}"' for name in inputs)
    return f'{kind} {{ feature_name: "f" operator_name: "{operator}" expression: [{names}] {text} }}'


def edit(text: str = "") -> str:
    library = 'operator_lib_file: "pyfg/lib/libedit_distance.so"'
    return custom("EditDistance", ["user:query", "item:title"], f"{library} {text}")


def encode(feature: str, **columns: Any) -> tuple[Column, BadRows]:
    return encode_columns(feature, columns, "FG_DAG")


def distance_by_hand(left: Any, right: Any) -> int:
    """Levenshtein distance by its recurrence."""
    if not left or not right:
        return len(left) + len(right)
    replaced = distance_by_hand(left[:-1], right[:-1]) + (left[-1] != right[-1])
    return min(replaced, distance_by_hand(left[:-1], right) + 1, distance_by_hand(left, right[:-1]) + 1)


def test_edit_distance_of_code_points() -> None:
    queries, titles = (
        ["裙子", "kitten", "", "a", "flaw", None, "x"],
        ["连衣裙", "sitting", "abc", "", "lawn", "b", None],
    )
    column, bad = encode(edit(param(encoding="utf-8")), query=queries, title=titles)
    expected = [distance_by_hand(query, title) for query, title in zip(queries[:5], titles[:5])]
    assert expected == [3, 3, 3, 1, 2]
    assert column.values.ravel().tolist() == [*expected, 0, 0]  # the default for a missing text
    assert not bad


def test_edit_distance_of_bytes_is_the_default() -> None:
    column, _ = encode(edit(), query=["é", "ab"], title=["e", "ba"])
    assert column.values.ravel().tolist() == [distance_by_hand("é".encode(), b"e"), 2]
    ids, _ = encode(
        edit(param(encoding="utf-8") + "boundaries: [0, 5, 10] embedding_dim: 16"), query=["裙子"], title=["连衣裙"]
    )
    assert ids_by_row(ids) == [[1]]
    numbers, _ = encode(edit(), query=[123], title=["13"])
    assert numbers.values.tolist() == [[1]]


def test_regex_replace_replaces_all_matches() -> None:
    text = param(regex_patten=r"([0-9]+)px", replacement=r"\\1") + 'vocab_list: ["w1 h2", "x"] embedding_dim: 4'
    feature = custom("RegexReplace", ["item:size"], text)
    column, bad = encode(feature, size=["w1px h2px", "x", None])
    assert ids_by_row(column) == [[2], [3], [0]]
    assert not bad


@pytest.mark.parametrize("name", ["regex_pattern", "pattern"])
def test_regex_replace_without_replacement_removes(name: str) -> None:
    text = param(**{name: "[^0-9]"}) + "num_buckets: 100 embedding_dim: 4"
    column, _ = encode(custom("RegexReplace", ["item:size"], text), size=["no. 12", "7"])
    assert ids_by_row(column) == [[12], [7]]


def seq(inputs: list[str], formula: str, text: str = "") -> str:
    layout = f'sequence_delim: "|" sequence_length: 50 {param(formula=formula)} {text}'
    return custom("SeqExpr", inputs, layout, "sequence_custom_feature")


@pytest.mark.parametrize("side", ["item", "user"])
def test_seq_expr_repeats_the_value_of_the_row(side: str) -> None:
    """Values that TorchEasyRec's tests assert; where no input is of the item, a single element is repeated."""
    feature = seq(["user:cur_time", f"{side}:clk_time_seq"], "cur_time-clk_time_seq")
    outputs, bad = encoder(feature).encode(
        table_of(cur_time=["10", None, None, "9"], clk_time_seq=["2|3", "4", None, "1|2|3"])
    )
    assert elements_by_row(outputs["f"]) == [[[8], [7]], [[0]], [[0]], [[8], [7], [6]]]
    assert not bad


def haversine(lng1: float, lat1: float, lng2: float, lat2: float) -> float:
    a, b, span = math.radians(lat1), math.radians(lat2), math.radians(lng2 - lng1)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(span / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(half))


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (["item:ilng", "item:ilat", "user:ulng", "user:ulat"], ""),
        (["user:ilng", "user:ilat", "user:ulng", "user:ulat"], 'sequence_fields: ["ilng", "ilat"]'),
    ],
)
def test_seq_expr_in_a_group_computes_spherical_distances(inputs: list[str], text: str) -> None:
    """Ids that TorchEasyRec's tests assert, and the distances."""
    columns = {
        "s__ilng": ["113.728|116.4074", "121.4737", None],
        "s__ilat": ["23.002|39.9042", "31.2304", None],
        "ulng": ["113.1057", "116.4074", None],
        "ulat": ["22.5614", "39.9042", None],
    }
    expected = [
        [[haversine(113.728, 23.002, 113.1057, 22.5614)], [haversine(116.4074, 39.9042, 113.1057, 22.5614)]],
        [[haversine(121.4737, 31.2304, 116.4074, 39.9042)]],
        [[0.0]],
    ]
    group = 'sequence_feature { sequence_name: "s" sequence_delim: "|" features { %s } }'
    text += param(formula="spherical_distance")
    outputs, bad = encoder(group % custom("SeqExpr", inputs, text)).encode(table_of(**columns))
    for row, values in zip(elements_by_row(outputs["s__f"]), expected, strict=True):
        np.testing.assert_allclose(row, values, rtol=1e-6)
    ids, _ = encoder(group % custom("SeqExpr", inputs, text + "boundaries: [0, 150, 1500] embedding_dim: 16")).encode(
        table_of(**columns)
    )
    assert elements_by_row(ids["s__f"]) == [[[1], [3]], [[2]], [[1]]]
    assert not bad


def test_seq_expr_formula_names_inputs_of_a_group_with_or_without_its_prefix() -> None:
    for formula in ("t - now", "s__t - now"):
        feature = custom("SeqExpr", ["item:t", "user:now"], param(formula=formula))
        outputs, _ = encoder(f'sequence_feature {{ sequence_name: "s" features {{ {feature} }} }}').encode(
            table_of(s__t=[[5, 7], [1]], now=[2, 1])
        )
        assert elements_by_row(outputs["s__f"]) == [[[3], [5]], [[0]]]


def test_seq_expr_outside_of_sequences_is_a_formula_and_reports_words() -> None:
    feature = custom("SeqExpr", ["user:a", "item:b"], param(formula="a / b"))
    column, bad = encode(feature, a=["3", "x", "1"], b=[2.0, 1.0, 0.0])
    assert column.values.tolist() == [[1.5], [0], [0]]
    assert [(name, rows) for name, _, rows, _ in reports(bad)] == [("f", [1, 2])]


@pytest.mark.parametrize(
    ("feature", "field", "message"),
    [
        (edit(param(encoding="gbk")), "operator_params", 'encoding "gbk" is not one of latin, latin1'),
        (custom("EditDistance", ["user:a"]), "expression", "1 inputs; EditDistance compares two texts"),
        (custom("RegexReplace", ["user:a"]), "operator_params", "RegexReplace needs regex_patten (or regex_pattern or"),
        (custom("RegexReplace", ["user:a"], param(pattern="(")), "operator_params", "is not a regular expression"),
        (custom("RegexReplace", ["user:a"], param(pattern="t", replacement=r"\\3")), "operator_params", "replacement"),
        (custom("RegexReplace", ["user:a", "user:b"], param(pattern="t")), "expression", "reads one text"),
        (custom("SeqExpr", ["user:a"]), "operator_params", "SeqExpr needs a formula"),
        (
            custom("SeqExpr", ["user:a"], param(formula="a - b")),
            "operator_params",
            'unknown variable "b"; use one of a',
        ),
        (custom("SeqExpr", ["user:a"], param(formula="spherical_distance")), "expression", "1 inputs; spherical_dist"),
        (custom("SeqExpr", ["user:a"], param(formula="__import__('os')")), "operator_params", "formula "),
    ],
)
def test_invalid_parameters_are_problems_of_feature_and_check(
    tmp_path: Path, feature: str, field: str, message: str
) -> None:
    problem = config_problem(feature)
    assert problem.field == f"feature_configs[0].custom_feature.{field}"
    assert message in problem.message
    text = replaced(MMOE, "model_config {", f"feature_configs {{ {feature} }} model_config {{")
    (tmp_path / "my.config").write_text(text)
    (problem,) = inspect(load_source(str(tmp_path / "my.config"))).problems
    assert problem.field.endswith(f"custom_feature.{field}")
    assert message in problem.message


def test_library_of_a_bundled_operator_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    path.write_text(replaced(MMOE, "model_config {", f"feature_configs {{ {edit()} }} model_config {{"))
    checker = inspect(load_source(str(path)))
    assert checker.problems == []
    expected = "custom_feature.operator_lib_file: has no effect: EditDistance is part of tzrec"
    assert sum(str(warning).endswith(expected) for warning in checker.warnings) == 1


def test_library_of_another_operator_is_a_problem_unless_data_is_encoded(tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    feature = custom("Own", ["user:a"], 'operator_lib_file: "lib/libown.so"')
    text = replaced(MMOE, "model_config {", f"feature_configs {{ {feature} }} model_config {{")
    path.write_text(text)
    (problem,) = inspect(load_source(str(path))).problems
    assert "shared libraries are not loaded; leave it out and name a Python class in operator_name" in str(problem)
    assert "or one of the operators EditDistance, RegexReplace, SeqExpr" in str(problem)
    path.write_text(text.replace("FG_DAG", "FG_NONE"))
    checker = inspect(load_source(str(path)))
    assert checker.problems == []
    assert str(checker.warnings[-1]).endswith("has no effect: encoded data holds the results")
