"""Labels with NaN, nulls or null words: a config is proposed that leaves these rows out, with their number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import tzrec
from tzrec.config.load import dump_config
from tzrec.profile.init import init
from tzrec.profile.initial_config import base_config
from tzrec.profile.suggest import SuggestResult
from tzrec.protos.data_pb2 import BadRowPolicy

ROWS = 400


def proposed(folder: Path, labels: list[Any], name: str) -> SuggestResult:
    """Write labels as Parquet or CSV and propose a config."""
    table = pa.table({"user": np.arange(ROWS) % 50, "price": np.arange(ROWS) / 7, "clk": labels})
    path = folder / name
    if name.endswith(".csv"):
        pyarrow.csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return init(base_config(str(path), str(path), str(folder / "m"), ["clk"]))


@pytest.mark.parametrize(
    ("missing", "name"),
    [
        (float("nan"), "t.parquet"),
        (None, "t.parquet"),
        ("\\N", "t.csv"),
        ("nan", "t.csv"),
        ("~", "t.csv"),
        ("", "t.csv"),
    ],
)
def test_init_counts_rows_without_label_and_training_leaves_them_out(
    tmp_path: Path, missing: float | str | None, name: str
) -> None:
    labels: list[Any] = [row % 2 if row % 10 else missing for row in range(ROWS)]
    if name.endswith(".csv"):
        labels = [str(label) for label in labels]
    result = proposed(tmp_path, labels, name)
    assert result.config.data_config.bad_row_policy == BadRowPolicy.DEFAULT
    assert result.config.model_config.losses[0].WhichOneof("loss") == "binary_cross_entropy"
    (note,) = [note for note in result.notes if "no label" in note]
    assert note.startswith('40 rows have no label "clk" and are left out')
    assert ('the first value that is no number is "~"' in note) == (missing == "~"), "the others are null words"
    config = tmp_path / "c.config"
    config.write_text(dump_config(result.config))
    edit = {"train_config.use_tensorboard": False, "train_config.num_threads": 1, "train_config.num_epochs": 40}
    run = tzrec.train(config, edit=edit)
    assert 0 < run.metrics["binary_cross_entropy"] < 1


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_init_on_labels_of_text_lists_their_values(tmp_path: Path, name: str) -> None:
    result = proposed(tmp_path, ["yes" if row % 3 else "no" for row in range(1, ROWS + 1)], name)
    assert list(result.config.data_config.label_values[0].values) == ["no", "yes"]
    assert result.config.model_config.losses[0].WhichOneof("loss") == "binary_cross_entropy"
