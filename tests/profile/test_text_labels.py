"""`init` on labels of text: their values, and the same config as with numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

import tzrec
from tzrec.config.load import dump_config
from tzrec.data import text_ids
from tzrec.errors import DataError
from tzrec.profile import text_labels
from tzrec.profile.suggest import SuggestResult
from tzrec.protos.pipeline_pb2 import EasyRecConfig

ROWS = 600


def proposed(path: Path, labels: dict[str, Sequence[object]], is_merged: bool = False) -> SuggestResult:
    rng = np.random.default_rng(2)
    table = pa.table({"x": rng.random(ROWS), "c": rng.integers(0, 5, ROWS), **labels})
    if path.suffix == ".csv":
        pacsv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return tzrec.init(str(path), list(labels), merge_label_variants=is_merged)


def without_values(config: EasyRecConfig, path: Path) -> EasyRecConfig:
    """The config without the values of labels, and with another path."""
    copy = EasyRecConfig()
    copy.CopyFrom(config)
    del copy.data_config.label_values[:]
    copy.train_input_path = str(path)
    return copy


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_text_labels_become_the_config_of_numbers(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(3)
    click, stars = rng.integers(0, 2, ROWS), rng.integers(0, 3, ROWS)
    buy = [int(rng.integers(0, 2)) if clicked else None for clicked in click]
    numbers = {"click": click.tolist(), "buy": buy, "stars": stars.tolist()}
    words = {"click": ["False", "True"], "buy": ["N", "Y"], "stars": ["bad", "fair", "good"]}
    texts = {
        label: [None if value is None else words[label][value] for value in values] for label, values in numbers.items()
    }
    of_text = proposed(tmp_path / f"text_{name}", texts)
    of_numbers = proposed(tmp_path / f"numbers_{name}", numbers)
    assert {entry.label: list(entry.values) for entry in of_text.config.data_config.label_values} == words
    assert without_values(of_text.config, tmp_path / f"numbers_{name}") == of_numbers.config
    towers = of_text.config.model_config.mmoe.task_towers
    assert towers[1].task_space_indicator_label == "click"
    assert (towers[2].num_class, towers[2].losses[0].WhichOneof("loss")) == (3, "softmax_cross_entropy")
    reading = next(reading for reading in of_text.readings if reading.name == "click")
    assert reading.evidence.startswith('"False" is 0, "True" is 1; 1 in ')
    (suggestion,) = [item for item in of_text.suggestions if item.path == "data_config.label_values[0].values"]
    assert suggestion.reason == 'click: "True" is 1, by its word; to predict "False" in its place, swap the two'
    assert tzrec.check(dump_config(of_text.config), data=tmp_path / f"text_{name}") == []


def test_first_config_of_text_trains_to_the_metrics_of_numbers(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(0, 2, ROWS)
    edit = {"train_config.num_epochs": 2, "train_config.use_tensorboard": False}
    metrics = []
    for name, values in (("numbers", labels), ("texts", np.array(["<=50K", ">50K"])[labels]), ("bools", labels > 0)):
        config = dump_config(proposed(tmp_path / f"{name}.parquet", {"y": values.tolist()}).config)
        metrics.append(tzrec.train(config, model_dir=tmp_path / name, edit=edit).metrics)
    assert metrics[0]["auc"] > 0
    assert metrics[1] == metrics[0]
    assert metrics[2] == metrics[0]


def test_values_after_the_first_rows_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_ids, "_MAX_ROWS", 100)
    result = proposed(tmp_path / "t.csv", {"y": ["no"] * 400 + ["yes"] * 200})
    assert list(result.config.data_config.label_values[0].values) == ["no", "yes"]
    (label,) = [reading.stats for reading in result.readings if reading.is_label and reading.stats]
    assert (label.rows, label.moments.mean) == (ROWS, 200 / ROWS)
    result = proposed(tmp_path / "u.csv", {"y": ["R"] * 90 + ["M"] * 10 + ["R"] * 100 + ["M"] * 400})
    assert list(result.config.data_config.label_values[0].values) == ["M", "R"], "R is the rarer one in all rows"


def test_words_for_missing_labels_are_declared_and_none_is_named(tmp_path: Path) -> None:
    values = ["yes", "no", "N/A"] * 150 + [None] * 150
    result = proposed(tmp_path / "t.csv", {"y": values})
    assert list(result.config.data_config.label_values[0].values) == ["no", "yes"]
    assert list(result.config.data_config.null_values) == ["N/A"]
    assert any(note.startswith('300 rows have no label "y" and are left out') for note in result.notes)
    result = proposed(tmp_path / "u.csv", {"y": ["None", "mild"] * 300})
    assert list(result.config.data_config.label_values[0].values) == ["None", "mild"]
    assert any('"None" is taken as a value; if it means that there is none' in note for note in result.notes)


def test_variants_are_named_and_merged_if_asked(tmp_path: Path) -> None:
    values = ["yes", "no", "Yes", "yes ", "no", "no"] * 100
    result = proposed(tmp_path / "t.csv", {"y": values})
    assert list(result.config.data_config.label_values[0].values) == ["no", "Yes", "yes", "yes "]
    assert result.config.model_config.num_class == 4
    (note,) = [note for note in result.notes if "differ only" in note]
    assert note.startswith('label "y": "Yes", "yes", "yes " differ only in case or in spaces around them')
    merged = proposed(tmp_path / "u.csv", {"y": values}, is_merged=True)
    (entry,) = merged.config.data_config.label_values
    assert (list(entry.values), entry.merge_variants) == (["no", "Yes"], True)
    assert next(reading for reading in merged.readings if reading.is_label).evidence.endswith("1 in 50 % of the rows")
    assert not [note for note in merged.notes if "differ only" in note]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_many_or_one_text_are_refused_with_the_cure(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        DataError, match=r'"y" is text: it has more than 50 different texts \(e\.g\. "u0", "u1", "u10"\)'
    ):
        proposed(tmp_path / name, {"y": [f"u{row % 51}" for row in range(ROWS)]})
    with pytest.raises(DataError, match='label column "y" is always "yes"; there is nothing to learn'):
        proposed(tmp_path / name, {"y": ["yes", None] * 300})
    result = proposed(tmp_path / name, {"y": [f"u{row % text_labels.MAX_LABEL_TEXTS}" for row in range(ROWS)]})
    assert result.config.model_config.num_class == 50
