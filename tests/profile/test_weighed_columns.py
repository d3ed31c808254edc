"""Columns that `init` leaves out or reads otherwise for what the labels say, and labels of a part of the rows."""

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
from tzrec.errors import ConfigError
from tzrec.profile.column_reading import ColumnReading
from tzrec.profile.init import init
from tzrec.profile.initial_config import base_config
from tzrec.profile.quantities import Kind
from tzrec.profile.suggest import SuggestResult
from tzrec.protos.data_pb2 import BadRowPolicy

NUM = 4000


def visits() -> dict[str, Any]:
    """A table in which the age of a visitor counts, the number of a zone does not, and orders follow clicks."""
    rng = np.random.default_rng(3)
    age, zone, effect = rng.integers(18, 92, NUM), rng.integers(0, 60, NUM), rng.normal(0, 1.5, 60)
    click = rng.random(NUM) < 1 / (1 + np.exp(((age - 50) / 20.0) ** 2 - 1 - effect[zone]))
    dwell = rng.gamma(2, 20, NUM).round(1)
    return {
        "visitor_age": age,
        "some_zone": zone,
        "weather": rng.integers(0, 3, NUM),
        "order_total": [float(total) if is_click else 0.0 for total, is_click in zip(dwell + 1, click, strict=True)],
        "is_click": click.astype(int),
        "dwell": [float(seconds) if is_click else None for seconds, is_click in zip(dwell, click, strict=True)],
    }


def propose(folder: Path, columns: dict[str, Any], *labels: str, **options: Any) -> SuggestResult:
    path = folder / "visits.parquet"
    pq.write_table(pa.table(columns), path)
    return init(base_config(str(path), "", str(folder / "model"), labels), **options)


def by_name(result: SuggestResult) -> dict[str, ColumnReading]:
    return {reading.name: reading for reading in result.readings}


def test_column_that_tells_a_label_is_left_out_unless_kept(tmp_path: Path) -> None:
    reading = by_name(propose(tmp_path, visits(), "is_click", "dwell"))["order_total"]
    assert reading.is_left_out
    assert reading.evidence == "predicts is_click alone (AUC 1.000): does it exist at prediction time?"
    assert reading.override == "--keep order_total"
    kept = by_name(propose(tmp_path, visits(), "is_click", "dwell", kept=["order_total"]))["order_total"]
    assert not kept.is_left_out
    assert kept.evidence.endswith("; predicts is_click alone (AUC 1.000), and kept")


def test_unknown_column_to_keep_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'--keep: there is no column "order_totl" to read; did you mean "order_to'):
        propose(tmp_path, visits(), "is_click", kept=["order_totl"])


def test_only_column_is_kept_although_it_tells_the_label(tmp_path: Path) -> None:
    columns = {name: values for name, values in visits().items() if name in ("order_total", "is_click")}
    result = propose(tmp_path, columns, "is_click")
    assert not by_name(result)["order_total"].is_left_out
    assert by_name(result)["order_total"].evidence.endswith("(AUC 1.000): does it exist at prediction time?")
    assert result.problems == []


def test_order_of_whole_numbers_is_named_and_counts(tmp_path: Path) -> None:
    columns = visits()
    columns["code"] = columns.pop("visitor_age")
    columns["amount"] = columns.pop("some_zone")
    found = by_name(propose(tmp_path, columns, "is_click"))
    assert found["code"].evidence.startswith("order matters (rank 0.7")
    assert (found["code"].kind, found["code"].override) == (Kind.EITHER, "--as code=number")
    assert found["amount"].evidence.startswith("order says nothing (rank 0.")
    assert (found["amount"].kind, found["amount"].override) == (Kind.EITHER, "--as amount=number")
    assert "order" not in found["weather"].evidence, "3 values"
    given = by_name(propose(tmp_path, columns, "is_click", kind_by_column={"code": Kind.NAME}))
    assert given["code"].kind == Kind.NAME and given["code"].evidence.startswith("--as says so")


def test_whole_numbers_whose_values_repeat_are_names_as_well_in_tables_of_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = visits()
    columns["balance"] = np.arange(NUM) // 9  # nine rows for each value
    monkeypatch.setattr("tzrec.profile.weighed_columns.FEW_ROWS", NUM)
    few = by_name(propose(tmp_path, columns, "is_click"))
    assert (few["visitor_age"].kind, few["balance"].kind) == (Kind.QUANTITY, Kind.QUANTITY)
    monkeypatch.setattr("tzrec.profile.weighed_columns.FEW_ROWS", NUM - 1)
    result = propose(tmp_path, columns, "is_click")
    many = by_name(result)
    assert (many["visitor_age"].kind, many["visitor_age"].override) == (Kind.EITHER, "--as visitor_age=number")
    assert many["visitor_age"].evidence.endswith("; its name says age; 74 values, 18 to 91, each in many rows")
    assert (many["balance"].kind, many["dwell"].kind) == (Kind.QUANTITY, Kind.QUANTITY)
    names = list(result.config.model_config.feature_groups[0].feature_names)
    assert [name for name in names if name.startswith(("visitor_age", "balance"))] == [
        "visitor_age",
        "visitor_age_number",
        "balance",
    ]
    given = by_name(propose(tmp_path, columns, "is_click", kind_by_column={"visitor_age": Kind.QUANTITY}))
    assert given["visitor_age"].kind == Kind.QUANTITY


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_label_of_clicked_rows_only_is_written_as_a_task_space_and_trains(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"visits.{suffix}"
    table = pa.table(visits())
    pyarrow.csv.write_csv(table, path) if suffix == "csv" else pq.write_table(table, path)
    result = init(base_config(str(path), "", str(tmp_path / "model"), ["is_click", "dwell"]))
    tower = result.config.model_config.mmoe.task_towers[1]
    assert (tower.label_name, tower.task_space_indicator_label) == ("dwell", "is_click")
    assert (tower.out_task_space_weight, tower.metrics_in_task_space) == (0, True)
    assert (
        'missing only where is_click is 0 -> task_space_indicator_label: "is_click"'
        in by_name(result)["dwell"].evidence
    )
    assert result.config.data_config.bad_row_policy == BadRowPolicy.ERROR
    assert [note for note in result.notes if "no label" in note] == []
    assert result.problems == []
    config = tmp_path / "first.config"
    config.write_text(dump_config(result.config))
    run = tzrec.train(str(config), edit={"train_config.num_epochs": 1})
    assert np.isfinite([*run.metrics.values()]).all()
    assert not (tmp_path / "model" / "bad_rows.jsonl").exists()


def test_label_that_is_missing_elsewhere_is_named_as_left_out(tmp_path: Path) -> None:
    columns = visits()
    columns["dwell"][columns["is_click"].tolist().index(1)] = None
    result = propose(tmp_path, columns, "is_click", "dwell")
    assert not result.config.model_config.mmoe.task_towers[1].task_space_indicator_label
    assert [note for note in result.notes if 'rows have no label "dwell" and are left out' in note]


def test_label_is_described_by_its_share(tmp_path: Path) -> None:
    columns = {**visits(), "is_click": [1] * 100 + [0] * (NUM - 100)}
    assert by_name(propose(tmp_path, columns, "is_click"))["is_click"].evidence == "1 in 2.5 % of the rows"


def test_equal_rows_are_named(tmp_path: Path) -> None:
    columns = {name: list(values)[:2000] for name, values in visits().items()}
    columns["key"] = [f"k{i}" for i in range(2000)]
    notes = propose(tmp_path, columns, "is_click").notes
    assert [note for note in notes if "equal" in note] == []
    columns = {name: values + values[:500] for name, values in columns.items()}
    (note,) = (note for note in propose(tmp_path, columns, "is_click").notes if "equal" in note)
    assert note.startswith("500 of 2,500 rows are equal to an earlier one, labels included")
