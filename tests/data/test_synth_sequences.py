from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.data.numbered import make_config
from tzrec.config.sequences import SequenceSpec
from tzrec.data.synthetic import make_table
from tzrec.data.synthetic.cells import Cells
from tzrec.data.synthetic.sequences import StepCounts, as_lists, as_text, first_steps
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

HEAD = """
train_input_path: "" eval_input_path: "" model_dir: ""
data_config { dataset_type: ParquetDataset batch_size: 400 label_fields: ["clk"] }
"""
TYPES = r"""
id_feature { feature_name: "id" expression: "user:item_id" hash_bucket_size: 50 embedding_dim: 4 }

id_feature { feature_name: "tags" expression: "item:tags" num_buckets: 9 value_dim: 0 embedding_dim: 4 }

raw_feature { feature_name: "price" expression: "item:price" }

raw_feature { feature_name: "place" expression: "item:place" value_dim: 2 separator: "," }

combo_feature { feature_name: "cross" expression: ["user:country", "item:brand"] hash_bucket_size: 50 embedding_dim: 4 }

lookup_feature { feature_name: "found" map: "user:counts" key: "item:brand" default_value: "-9" }

match_feature {
  feature_name: "matched" nested_map: "item:nested" pkey: "user:country" skey: "item:brand" default_value: "-9"
}

expr_feature { feature_name: "ratio" expression: "cost / usual" variables: ["item:cost", "user:usual"] }

overlap_feature {
  feature_name: "common" query: "user:words" title: "item:title" method: "query_common_ratio" separator: " "
}

tokenize_feature { feature_name: "tokens" expression: "item:text" vocab_file: "TOKENIZER" embedding_dim: 4 }

kv_dot_product { feature_name: "taste" query: "user:likes" document: "item:has" separator: "|" }

bool_mask_feature { feature_name: "mask" expression: ["item:shown", "item:seen"] num_buckets: 9 embedding_dim: 4 }

combine_feature { feature_name: "sum" expression: "item:parts" num_buckets: 30 embedding_dim: 4 }

custom_feature {
  feature_name: "custom" operator_name: "tests.features.operators:Upper" expression: "item:custom"
  hash_bucket_size: 50 embedding_dim: 4
}
"""

IN_SEQUENCES = {
    "item_id",
    "tags",
    "price",
    "place",
    "brand",
    "nested",
    "cost",
    "title",
    "text",
    "has",
    "shown",
    "seen",
}
IN_SEQUENCES |= {"parts", "custom"}
SAME = {"country", "counts", "usual", "words", "likes"}
"""Inputs that are no sequences: those of users where there are several."""
ENCODED = ("FG_NONE", "FG_BUCKETIZE")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tokenizers")
    model = {"type": "BPE", "vocab": {"[UNK]": 0, "w": 1, "o": 2, "r": 3}, "merges": [], "unk_token": "[UNK]"}
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    path.write_text(json.dumps({"version": "1.0", "model": model, "added_tokens": []}))
    return path


def messages(tokenizer: Path) -> list[str]:
    """One feature of each type."""
    return TYPES.replace("TOKENIZER", str(tokenizer)).strip().split("\n\n")


def grouped(mode: str, tokenizer: Path) -> EasyRecConfig:
    """A sequence of all types."""
    features = " ".join(f"features {{ {each} }}" for each in messages(tokenizer))
    group = f'sequence_name: "click" sequence_length: 5 sequence_delim: "#" {features}'
    return make_config(f"fg_mode: {mode}", f"{HEAD} feature_configs {{ sequence_feature {{ {group} }} }}")


def alone(mode: str, tokenizer: Path) -> EasyRecConfig:
    """Sequences of all types by themselves, and the tokens of a text."""
    kinds = [f"sequence_{each.strip()[:-1]} sequence_length: 5 sequence_delim: '#' }}" for each in messages(tokenizer)]
    kinds.append(
        f"""tokenize_feature {{ feature_name: "letters" expression: "item:letters" vocab_file: "{tokenizer}"
        embedding_dim: 4 tokens_as_sequence: true sequence_length: 5 sequence_delim: "#" }}"""
    )
    kinds = kinds[:-1] if mode == "FG_BUCKETIZE" else kinds
    return make_config(f"fg_mode: {mode}", HEAD + "\n".join(f"feature_configs {{ {each} }}" for each in kinds))


def steps_of(column: pa.ChunkedArray, delimiter: str = "#") -> list[list[Any]]:
    """What each row holds, step by step."""
    rows = column.to_pylist()
    if pa.types.is_string(column.type):
        return [[] if row is None else row.split(delimiter) for row in rows]
    return [row or [] for row in rows]


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_BUCKETIZE", "FG_NORMAL", "FG_DAG"])
@pytest.mark.parametrize("make", [grouped, alone])
def test_sequences_of_a_row_have_equally_many_steps(mode: str, make: Any, tokenizer: Path) -> None:
    table = make_table(make(mode, tokenizer), 400, seed=3).drop_columns(["clk"])
    prefix = "click__" if make is grouped else ""
    if mode in ENCODED:
        names = [prefix + re.findall('"(.*?)"', each)[0] for each in messages(tokenizer)]
        names += ["letters"] if make is alone and mode == "FG_NONE" else []
        stepped = set(names)
    else:
        names, stepped = [prefix + each for each in IN_SEQUENCES], {prefix + each for each in IN_SEQUENCES}
        names += [*SAME, "letters"] if make is alone else SAME
    assert set(table.column_names) == set(names)
    columns = {name: steps_of(table[name]) for name in stepped}
    lengths = {name: list(map(len, rows)) for name, rows in columns.items()}
    first = lengths[prefix + ("id" if mode in ENCODED else "brand")]
    assert set(first) == {0, 1, 2, 3, 4, 5}
    assert all(each == first for each in lengths.values())
    kinds = {str(table.schema.field(name).type) for name in stepped}
    assert "string" in kinds and any("list<element: list" in each or "list<item: list" in each for each in kinds)
    assert any(each.startswith("list") and each.count("list") == 1 for each in kinds)
    values = [step for rows in columns.values() for row in rows for step in row]
    assert "" in values and [] in values  # steps without a value
    assert None not in values
    for name in set(names) - stepped:
        assert not pa.types.is_list(table.schema.field(name).type)
        assert not any("#" in str(cell) for cell in table[name].to_pylist())


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_BUCKETIZE", "FG_NORMAL", "FG_DAG"])
@pytest.mark.parametrize("make", [grouped, alone])
@pytest.mark.parametrize("kind", [data_pb2.ParquetDataset, data_pb2.CsvDataset])
def test_sequences_are_encoded_without_a_bad_row(mode: str, make: Any, kind: int, tokenizer: Path) -> None:
    config = make(mode, tokenizer)
    config.data_config.dataset_type = kind  # type: ignore[assignment]
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    table = make_table(config, 400, seed=3)
    columns, bad = encoder.encode(table)
    assert not bad
    prefix = "click__" if make is grouped else ""
    steps = columns[f"{prefix}id"].sequence_lengths
    assert steps is not None
    raw = steps_of(table[prefix + ("id" if mode in ENCODED else "brand")])
    missing = 0 if mode == "FG_NONE" else 1  # a step that holds the default
    assert steps.tolist() == [len(row) or missing for row in raw]
    for name, column in columns.items():
        if name != "letters":
            assert column.sequence_lengths is not None and column.sequence_lengths.tolist() == steps.tolist(), name
        assert len(np.unique(column.values)) > 2, name
    for name in ("found", "matched"):
        assert mode in ENCODED or (columns[prefix + name].values != -9).mean() > 0.3


def cells(values: list[Any], counts: list[int] | None, separator: str = "") -> Cells:
    known = None if counts is None else np.array(counts)
    return Cells(pa.array(values), known, np.zeros(len(values) if counts is None else len(counts)), separator)


def test_how_sequences_are_written() -> None:
    steps = np.array([2, 0, 1])
    single = cells([7, 8, 9], None)
    assert as_text(single, steps, ";").to_pylist() == ["7;8", None, "9"]
    assert as_lists(single, steps).to_pylist() == [[7, 8], None, [9]]
    several = cells(["a", "b", "c"], [2, 0, 1], "|")
    assert as_text(several, steps, ";").to_pylist() == ["a|b;", None, "c"]
    assert as_lists(several, steps).to_pylist() == [[["a", "b"], []], None, [["c"]]]
    gap = cells([1.5, 2.5, 3.5], None).without(np.array([False, True, False]))
    assert as_text(gap, steps, ";").to_pylist() == ["1.5;", None, "3.5"]


def test_rows_of_csv_hold_text(tmp_path: Path, tokenizer: Path) -> None:
    config = grouped("FG_DAG", tokenizer)
    config.data_config.dataset_type = data_pb2.CsvDataset
    assert {str(make_table(config, 20).schema.field(f"click__{name}").type) for name in IN_SEQUENCES} == {"string"}


def test_a_step_finds_what_the_maps_of_its_row_hold(tokenizer: Path) -> None:
    table = make_table(grouped("FG_DAG", tokenizer), 400, seed=3)
    keys, maps = steps_of(table["click__brand"]), table["counts"].to_pylist()
    # the key of the first step is put in the map of four rows in five, and some of six others are there by chance
    found = [row[0] in (text or "") for row, text in zip(keys, maps, strict=True) if row]
    assert np.mean(found) > 0.75
    nested, countries = steps_of(table["click__nested"]), table["country"].to_pylist()
    hit = [f"{country}^" in step for country, row in zip(countries, nested, strict=True) for step in row if step]
    assert np.mean(hit) > 0.75


def test_an_empty_first_step_is_never_written() -> None:
    """It could not be told from no sequence."""
    assert first_steps(np.array([2, 0, 1, 0])).tolist() == [True, False, True]
    counts = StepCounts(1000, np.random.default_rng(1))
    steps = counts.of(SequenceSpec(frozenset(), ";", 3, "a"))
    assert set(steps) == {0, 1, 2, 3}
    assert counts.of(SequenceSpec(frozenset(["x"]), ",", 3, "a")) is steps
    assert (counts.of(SequenceSpec(frozenset(), ";", 3, "b")) != steps).any()
    assert counts.of(SequenceSpec(frozenset(), ";", 0)).max() == 12
