"""Every kind of feature in every mode, once per row and at every step: a good value, a missing one and a bad one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.features.make import encoder, reports, rows, steps

HASHED = "hash_bucket_size: 100 embedding_dim: 4"
NUMBERS = 'default_value: "9"'


@dataclass(frozen=True)
class Kind:
    """A kind of feature and what it makes of three rows of text: good, missing, bad.

    Attributes:
        config: its fields but for the name.
        cells: per column the good, the missing and the bad cell; a kind for which no text is bad has two.
        values: what comes out for the good cell and for the default.
        encoded: what FG_NONE data holds for the three rows.
        reason: why the bad cell is bad.
        column: name of the column that is blamed; the formula has one of its own.
        unbucketized: the cells of FG_BUCKETIZE data.
    """

    config: str
    cells: dict[str, tuple[Any, ...]]
    values: tuple[Any, Any]
    encoded: tuple[Any, ...] = ("1.5", "", "x")
    reason: str = ""
    column: str = ""
    unbucketized: tuple[Any, ...] = field(default=("1.5", "", "x"))


KINDS = {
    "id_feature": Kind(
        'expression: "item:a" num_buckets: 50 embedding_dim: 4 default_value: "7"',
        {"a": ("3", None, "50")}, (3, 7), ("3", None, "-1"), "out of range [0, 50)", "a", ("3", None, "50"),
    ),
    "raw_feature": Kind(f'expression: "item:a" {NUMBERS}', {"a": ("1.5", "", "x")}, (1.5, 9), reason="not a number"),
    "combo_feature": Kind(
        f'expression: ["user:u", "item:a"] {HASHED} default_value: "xyz"',
        {"u": ("x", "x"), "a": ("y", None)}, (29, 13), ("29", None, "100"),
        unbucketized=("x_y", None),
    ),
    "combine_feature": Kind(
        f'expression: "item:a" combiner: "sum" {NUMBERS}', {"a": ("0.5\x1d1", "", "x")}, (1.5, 9), reason="not a number"
    ),
    "lookup_feature": Kind(
        f'map: "user:m" key: "item:a" {NUMBERS}',
        {"m": ("k:1.5", "k:1.5", "k:x"), "a": ("k", None, "k")}, (1.5, 9), reason="not a number", column="m",
    ),
    "match_feature": Kind(
        f'nested_map: "user:m" pkey: "item:a" skey: "ALL" {NUMBERS}',
        {"m": ("k^x:1.5", "k^x:1.5", "k^x:y"), "a": ("k", None, "k")}, (1.5, 9), reason="not a number", column="m",
    ),
    "expr_feature": Kind(
        f'expression: "a * b" variables: ["item:a", "user:b"] {NUMBERS}',
        {"a": ("0.5", "", "x"), "b": ("3", "3", "3")}, (1.5, 9), reason="not a number",
    ),
    "overlap_feature": Kind(
        'query: "item:a" title: "user:t" method: "index_of"',
        {"a": ("c", ""), "t": ("a\x1dc", "a")}, (1, 0), ("1", "0", "x"), unbucketized=("1", "", "x"),
    ),
    "tokenize_feature": Kind(
        'expression: "item:a" vocab_file: "{file}" embedding_dim: 4 default_value: "b"',
        {"a": ("ab", None)}, (3, 2), ("3", None, "4"), unbucketized=("ab", None),
    ),
    "kv_dot_product": Kind(
        f'query: "user:q" document: "item:a" {NUMBERS}',
        {"q": ("x:3",) * 3, "a": ("x:0.5", "", "x:y")}, (1.5, 9), reason="weight is not a finite number",
    ),
    "bool_mask_feature": Kind(
        f'expression: ["item:a", "item:b"] {HASHED} default_value: "xyz"',
        {"a": ("abc\x1defg", None, "abc"), "b": ("0\x1d1", None, "maybe")}, (44, 13), ("44", None, "100"),
        "not true or false, 1 or 0", "b", ("efg", None),
    ),
    "custom_feature": Kind(
        f'expression: "item:a" operator_name: "tests.features.operators:Upper" {NUMBERS}',
        {"a": ("1.5", None, "x")}, (1.5, 9), reason="not a number", column="f",
    ),
}  # fmt: skip
RAW = ("FG_DAG", "FG_NORMAL")
MODES = (*RAW, "FG_BUCKETIZE", "FG_NONE")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = {"type": "BPE", "vocab": {"0": 0, "a": 1, "b": 2, "ab": 3}, "merges": ["a b"]}
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    path.write_text(json.dumps({"version": "1.0", "model": model, "pre_tokenizer": {"type": "Whitespace"}}))
    return path


def test_no_kind_is_left_out() -> None:
    from tzrec.protos.feature_pb2 import FeatureConfig

    fields = FeatureConfig.DESCRIPTOR.oneofs_by_name["feature"].fields
    plain = {each.name for each in fields if not each.name.startswith("sequence_")}
    assert set(KINDS) == plain
    assert {each.name for each in fields} - plain == {"sequence_feature", *(f"sequence_{name}" for name in KINDS)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sequence", [False, True], ids=["plain", "sequence"])
@pytest.mark.parametrize("name", KINDS)
def test_good_missing_bad(name: str, sequence: bool, mode: str, tokenizer: Path) -> None:
    if name == "tokenize_feature":
        pytest.importorskip("tokenizers")
    kind = KINDS[name]
    config = kind.config.replace("{file}", str(tokenizer))
    columns = kind.cells if mode in RAW else {"f": kind.encoded if mode == "FG_NONE" else kind.unbucketized}
    built = encoder(f'{"sequence_" if sequence else ""}{name} {{ feature_name: "f" {config} }}', mode=mode)
    made, bad = built.encode(pa.table({key: pa.array(cells, pa.string()) for key, cells in columns.items()}))
    column = made["f"]

    good, default = kind.values
    count = len(next(iter(columns.values())))
    sparse, none = column.is_sparse, mode == "FG_NONE"
    if sequence:
        missing: list[Any] = [] if none and not kind.encoded[1] else [[default]]
        # a bad step takes the default; in encoded data there is none: no id, or 0
        spoiled = [[] if sparse else [0]] if none else [[default]]
        assert steps(column) == [[[good]], missing, spoiled][:count]
    else:
        found = rows(column) if sparse else column.values.tolist()
        empty: list[Any] = [] if sparse else [0]
        assert found == [[good], empty if none else [default], empty if none else [default]][:count]
    # a missing number is bad where encoded data has no default for it
    unfilled = none and not sparse and not sequence and not kind.encoded[1]
    assert bad.mask.tolist() == [False, unfilled, True][:count]
    if count == 3 and mode in RAW:
        column_name, reason, where, _ = reports(bad)[-1]
        label = {"expr_feature": "a", "kv_dot_product": "a"}.get(name, kind.column or "a")
        assert (column_name, reason, where) == (label, kind.reason, [2])
