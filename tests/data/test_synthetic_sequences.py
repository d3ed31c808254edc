from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.sequence_configs import ENCODED, IN_SEQUENCES, ROW_INPUTS, grouped, messages, tokenizer, ungrouped
from tzrec.config.sequences import SequenceSpec
from tzrec.data.synthetic import make_table
from tzrec.data.synthetic.cells import Cells
from tzrec.data.synthetic.sequences import SequenceLengths, as_lists, as_text, first_elements
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos import data_pb2

__all__ = ["tokenizer"]  # a fixture


def elements_of(column: pa.ChunkedArray, delimiter: str = "#") -> list[list[Any]]:
    """The elements of each row."""
    rows = column.to_pylist()
    if pa.types.is_string(column.type):
        return [[] if row is None else row.split(delimiter) for row in rows]
    return [row or [] for row in rows]


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_BUCKETIZE", "FG_NORMAL", "FG_DAG"])
@pytest.mark.parametrize("make", [grouped, ungrouped])
def test_make_table_sequences_of_a_row_have_equal_lengths(mode: str, make: Any, tokenizer: Path) -> None:
    table = make_table(make(mode, tokenizer), 400, seed=3).drop_columns(["clk"])
    prefix = "click__" if make is grouped else ""
    if mode in ENCODED:
        names = [prefix + re.findall('"(.*?)"', text)[0] for text in messages(tokenizer)]
        names += ["letters"] if make is ungrouped and mode == "FG_NONE" else []
        sequences = set(names)
    else:
        names = [prefix + name for name in IN_SEQUENCES]
        sequences = set(names)
        names += [*ROW_INPUTS, "letters"] if make is ungrouped else ROW_INPUTS
    assert set(table.column_names) == set(names)
    columns = {name: elements_of(table[name]) for name in sequences}
    lengths = {name: list(map(len, rows)) for name, rows in columns.items()}
    first = lengths[prefix + ("id" if mode in ENCODED else "brand")]
    assert set(first) == {0, 1, 2, 3, 4, 5}
    assert all(column == first for column in lengths.values())
    kinds = {str(table.schema.field(name).type) for name in sequences}
    assert "string" in kinds and any("list<element: list" in kind or "list<item: list" in kind for kind in kinds)
    assert any(kind.startswith("list") and kind.count("list") == 1 for kind in kinds)
    values = [element for rows in columns.values() for row in rows for element in row]
    assert "" in values and [] in values  # elements without a value
    assert None not in values
    for name in set(names) - sequences:
        assert not pa.types.is_list(table.schema.field(name).type)
        assert not any("#" in str(cell) for cell in table[name].to_pylist())


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_BUCKETIZE", "FG_NORMAL", "FG_DAG"])
@pytest.mark.parametrize("make", [grouped, ungrouped])
@pytest.mark.parametrize("kind", [data_pb2.ParquetDataset, data_pb2.CsvDataset])
def test_make_table_sequences_are_encoded_without_a_bad_row(mode: str, make: Any, kind: int, tokenizer: Path) -> None:
    config = make(mode, tokenizer)
    config.data_config.dataset_type = kind  # type: ignore[assignment]
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    table = make_table(config, 400, seed=3)
    columns, bad = encoder.encode(table)
    assert not bad
    prefix = "click__" if make is grouped else ""
    lengths = columns[f"{prefix}id"].sequence_lengths
    assert lengths is not None
    raw = elements_of(table[prefix + ("id" if mode in ENCODED else "brand")])
    missing = 0 if mode == "FG_NONE" else 1  # an element with the default value
    assert lengths.tolist() == [len(row) or missing for row in raw]
    for name, column in columns.items():
        if name != "letters":
            assert column.sequence_lengths is not None and column.sequence_lengths.tolist() == lengths.tolist(), name
        assert len(np.unique(column.values)) > 2, name
    for name in ("found", "matched"):
        assert mode in ENCODED or (columns[prefix + name].values != -9).mean() > 0.3


def cells(values: list[Any], counts: list[int] | None, separator: str = "") -> Cells:
    counts_array = None if counts is None else np.array(counts)
    return Cells(pa.array(values), counts_array, np.zeros(len(values) if counts is None else len(counts)), separator)


def test_sequences_as_text_and_lists_keep_empty_elements() -> None:
    lengths = np.array([2, 0, 1])
    single = cells([7, 8, 9], None)
    assert as_text(single, lengths, ";").to_pylist() == ["7;8", None, "9"]
    assert as_lists(single, lengths).to_pylist() == [[7, 8], None, [9]]
    several = cells(["a", "b", "c"], [2, 0, 1], "|")
    assert as_text(several, lengths, ";").to_pylist() == ["a|b;", None, "c"]
    assert as_lists(several, lengths).to_pylist() == [[["a", "b"], []], None, [["c"]]]
    with_gap = cells([1.5, 2.5, 3.5], None).clear(np.array([False, True, False]))
    assert as_text(with_gap, lengths, ";").to_pylist() == ["1.5;", None, "3.5"]


def test_make_table_for_csv_writes_sequences_as_text(tmp_path: Path, tokenizer: Path) -> None:
    config = grouped("FG_DAG", tokenizer)
    config.data_config.dataset_type = data_pb2.CsvDataset
    assert {str(make_table(config, 20).schema.field(f"click__{name}").type) for name in IN_SEQUENCES} == {"string"}


def test_make_table_maps_contain_the_keys_of_their_row(tokenizer: Path) -> None:
    table = make_table(grouped("FG_DAG", tokenizer), 400, seed=3)
    keys, maps = elements_of(table["click__brand"]), table["counts"].to_pylist()
    # the map holds the key of the first element in four rows of five, and by chance in some others
    is_hit = [row[0] in (text or "") for row, text in zip(keys, maps, strict=True) if row]
    assert np.mean(is_hit) > 0.75
    nested, countries = elements_of(table["click__nested"]), table["country"].to_pylist()
    pairs = [(country, cell) for country, row in zip(countries, nested, strict=True) for cell in row if cell]
    assert np.mean([f"{country}^" in cell for country, cell in pairs]) > 0.75


def test_sequence_lengths_are_shared_by_group_and_limit() -> None:
    assert first_elements(np.array([2, 0, 1, 0])).tolist() == [True, False, True]
    lengths = SequenceLengths(1000, np.random.default_rng(1))
    grouped_lengths = lengths.of(SequenceSpec(frozenset(), ";", 3, "a"))
    assert set(grouped_lengths) == {0, 1, 2, 3}
    assert lengths.of(SequenceSpec(frozenset(["x"]), ",", 3, "a")) is grouped_lengths
    assert (lengths.of(SequenceSpec(frozenset(), ";", 3, "b")) != grouped_lengths).any()
    assert lengths.of(SequenceSpec(frozenset(), ";", 0)).max() == 12
