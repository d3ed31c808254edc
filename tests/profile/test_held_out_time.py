"""Rows that `init` holds out by the time of the row."""

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

NUM = 4000
_SECONDS = 1_700_000_000 + np.sort(np.random.default_rng(2).integers(0, 86_400 * 50, NUM))
TIMES = _SECONDS[np.random.default_rng(3).permutation(NUM)]


def propose(folder: Path, suffix: str = "parquet", **columns: Any) -> SuggestResult:
    rng = np.random.default_rng(1)
    table = pa.table({"price": rng.gamma(2, 10, NUM), "clk": rng.integers(0, 2, NUM), **columns})
    path = folder / f"visits.{suffix}"
    pyarrow.csv.write_csv(table, path) if suffix == "csv" else pq.write_table(table, path)
    return init(base_config(str(path), "", str(folder / "model"), ["clk"]))


def split_of(result: SuggestResult) -> tuple[str, str, float]:
    split = result.config.data_config.eval_split
    return split.column, getattr(split, "from"), split.fraction


STAMPS = pa.array(TIMES, pa.timestamp("s"))
AT = np.sort(TIMES)[9 * NUM // 10]
BOUND = str(np.datetime64(int(AT), "s")).replace("T", " ")


@pytest.mark.parametrize(
    ("suffix", "values", "bound"),
    [
        ("parquet", STAMPS, BOUND),
        ("parquet", STAMPS.cast(pa.string()), BOUND),
        ("parquet", TIMES, str(AT)),
        ("csv", TIMES, str(AT)),
        ("csv", STAMPS, BOUND),
    ],
)
def test_latest_tenth_of_the_rows_is_held_out(tmp_path: Path, suffix: str, values: Any, bound: str) -> None:
    result = propose(tmp_path, suffix, visit_time=values)
    assert result.problems == []
    column, start, fraction = split_of(result)
    assert (column, fraction) == ("visit_time", 0)
    assert start[: len(bound)] == bound
    (suggestion,) = (item for item in result.suggestions if item.path == "data_config.eval_split.from")
    assert suggestion.reason == (
        f"the latest 10 % of the rows by visit_time, from {start}; if the rows to score are not later ones, write "
        "fraction: 0.1 instead of column and from"
    )
    config = tmp_path / "first.config"
    config.write_text(dump_config(result.config))
    assert tzrec.check(str(config)) == []
    run = tzrec.train(str(config), edit={"train_config.num_epochs": 1})
    assert np.isfinite(run.metrics["auc"])


def test_days_are_held_out_as_a_whole(tmp_path: Path) -> None:
    days = (STAMPS.cast(pa.date32())).cast(pa.string())
    column, start, _ = split_of(propose(tmp_path, visit_date=days))
    assert column == "visit_date"
    share = np.mean([day >= start for day in days.to_pylist()])
    assert 0.05 < share < 0.15


def test_text_whose_order_is_not_that_of_time_is_split_by_hash(tmp_path: Path) -> None:
    days = [str(day)[8:10] + "." + str(day)[5:7] + "." + str(day)[:4] for day in STAMPS.cast(pa.date32()).to_pylist()]
    assert split_of(propose(tmp_path, visit_date=days)) == ("", "", 0.1)


def test_latest_rows_of_one_class_are_split_by_hash(tmp_path: Path) -> None:
    assert split_of(propose(tmp_path, visit_time=STAMPS, clk=(TIMES < AT - 9).astype(int))) == ("", "", 0.1)


def test_few_rows_and_times_of_something_else_are_split_by_hash(tmp_path: Path) -> None:
    assert split_of(propose(tmp_path, signup_date=STAMPS)) == ("", "", 0.1)
