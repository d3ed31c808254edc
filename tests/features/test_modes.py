"""Every feature type in every mode, per row and per element of a sequence: a good, a missing and a bad value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.features import elements_by_row, encoder, ids_by_row, reports

HASHED = "hash_bucket_size: 100 embedding_dim: 4"
NUMBERS = 'default_value: "9"'


@dataclass(frozen=True)
class Case:
    """A feature type and its values for three rows of text: good, missing, bad.

    Attributes:
        config: its fields except for the name.
        cells: good, missing and bad cell by column; only two for a feature type that accepts any text.
        values: value of the good cell, and the default.
        encoded: cells of FG_NONE data.
        reason: reason for the bad cell.
        column: name of the reported column.
        unbucketized: cells of FG_BUCKETIZE data.
    """

    config: str
    cells: dict[str, tuple[Any, ...]]
    values: tuple[Any, Any]
    encoded: tuple[Any, ...] = ("1.5", "", "x")
    reason: str = ""
    column: str = ""
    unbucketized: tuple[Any, ...] = field(default=("1.5", "", "x"))


CASES = {
    "id_feature": Case(
        'expression: "item:a" num_buckets: 50 embedding_dim: 4 default_value: "7"',
        {"a": ("3", None, "50")}, (3, 7), ("3", None, "-1"), "out of range [0, 50)", "a", ("3", None, "50"),
    ),
    "raw_feature": Case(f'expression: "item:a" {NUMBERS}', {"a": ("1.5", "", "x")}, (1.5, 9), reason="not a number"),
    "combo_feature": Case(
        f'expression: ["user:u", "item:a"] {HASHED} default_value: "xyz"',
        {"u": ("x", "x"), "a": ("y", None)}, (29, 13), ("29", None, "100"),
        unbucketized=("x_y", None),
    ),
    "combine_feature": Case(
        f'expression: "item:a" combiner: "sum" {NUMBERS}', {"a": ("0.5\x1d1", "", "x")}, (1.5, 9), reason="not a number"
    ),
    "lookup_feature": Case(
        f'map: "user:m" key: "item:a" {NUMBERS}',
        {"m": ("k:1.5", "k:1.5", "k:x"), "a": ("k", None, "k")}, (1.5, 9), reason="not a number", column="m",
    ),
    "match_feature": Case(
        f'nested_map: "user:m" pkey: "item:a" skey: "ALL" {NUMBERS}',
        {"m": ("k^x:1.5", "k^x:1.5", "k^x:y"), "a": ("k", None, "k")}, (1.5, 9), reason="not a number", column="m",
    ),
    "expr_feature": Case(
        f'expression: "a * b" variables: ["item:a", "user:b"] {NUMBERS}',
        {"a": ("0.5", "", "x"), "b": ("3", "3", "3")}, (1.5, 9), reason="not a number",
    ),
    "overlap_feature": Case(
        'query: "item:a" title: "user:t" method: "index_of"',
        {"a": ("c", ""), "t": ("a\x1dc", "a")}, (1, 0), ("1", "0", "x"), unbucketized=("1", "", "x"),
    ),
    "tokenize_feature": Case(
        'expression: "item:a" vocab_file: "{file}" embedding_dim: 4 default_value: "b"',
        {"a": ("ab", None)}, (3, 2), ("3", None, "4"), unbucketized=("ab", None),
    ),
    "kv_dot_product": Case(
        f'query: "user:q" document: "item:a" {NUMBERS}',
        {"q": ("x:3",) * 3, "a": ("x:0.5", "", "x:y")}, (1.5, 9), reason="weight is not a finite number",
    ),
    "bool_mask_feature": Case(
        f'expression: ["item:a", "item:b"] {HASHED} default_value: "xyz"',
        {"a": ("abc\x1defg", None, "abc"), "b": ("0\x1d1", None, "maybe")}, (44, 13), ("44", None, "100"),
        "not true or false, 1 or 0", "b", ("efg", None),
    ),
    "custom_feature": Case(
        f'expression: "item:a" operator_name: "tests.features.operators:Upper" {NUMBERS}',
        {"a": ("1.5", None, "x")}, (1.5, 9), reason="not a number", column="f",
    ),
}  # fmt: skip
RAW = ("FG_DAG", "FG_NORMAL")
MODES = (*RAW, "FG_BUCKETIZE", "FG_NONE")


def test_every_feature_type_is_covered() -> None:
    from tzrec.protos.feature_pb2 import FeatureConfig

    fields = FeatureConfig.DESCRIPTOR.oneofs_by_name["feature"].fields
    row_types = {field.name for field in fields if not field.name.startswith("sequence_")}
    assert set(CASES) == row_types
    assert {field.name for field in fields} - row_types == {"sequence_feature", *(f"sequence_{name}" for name in CASES)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sequence", [False, True], ids=["plain", "sequence"])
@pytest.mark.parametrize("name", CASES)
def test_good_missing_and_bad_values_in_every_mode(name: str, sequence: bool, mode: str, tokenizer: Path) -> None:
    if name == "tokenize_feature":
        pytest.importorskip("tokenizers")
    case = CASES[name]
    config = case.config.replace("{file}", str(tokenizer))
    columns = case.cells if mode in RAW else {"f": case.encoded if mode == "FG_NONE" else case.unbucketized}
    built = encoder(f'{"sequence_" if sequence else ""}{name} {{ feature_name: "f" {config} }}', mode=mode)
    outputs, bad = built.encode(pa.table({key: pa.array(cells, pa.string()) for key, cells in columns.items()}))
    column = outputs["f"]

    good, default = case.values
    count = len(next(iter(columns.values())))
    sparse, none = column.is_sparse, mode == "FG_NONE"
    if sequence:
        missing: list[Any] = [] if none and not case.encoded[1] else [[default]]
        # a bad element takes the default; in encoded data there is none: no id, or 0
        bad_elements = [[] if sparse else [0]] if none else [[default]]
        assert elements_by_row(column) == [[[good]], missing, bad_elements][:count]
    else:
        values = ids_by_row(column) if sparse else column.values.tolist()
        empty: list[Any] = [] if sparse else [0]
        assert values == [[good], empty if none else [default], empty if none else [default]][:count]
    # a missing number is bad if encoded data has no default for it
    is_missing_bad = none and not sparse and not sequence and not case.encoded[1]
    assert bad.mask.tolist() == [False, is_missing_bad, True][:count]
    if count == 3 and mode in RAW:
        column_name, reason, bad_rows, _ = reports(bad)[-1]
        label = {"expr_feature": "a", "kv_dot_product": "a"}.get(name, case.column or "a")
        assert (column_name, reason, bad_rows) == (label, case.reason, [2])
