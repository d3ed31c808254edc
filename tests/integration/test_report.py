"""The report of a real run: what it computes from the model after training, and its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.fixtures.small_run import Job
from tzrec.report.record import ANALYSIS


def test_run_analyzes_scores_features_gates_and_tables(job: Job) -> None:
    model_dir, _ = job("model", train_config__report_rows=20_000)
    analysis = analysis_of(model_dir)
    assert analysis["step"] == 19
    for task in ("ctr", "cvr"):
        values = analysis["tasks"][task]
        result = json.loads((model_dir / "train_eval_result_v2.txt").read_text().splitlines()[-1])
        interval = values["intervals"]["AUC"]
        assert values["num_rows"] == analysis["num_rows"] > 100
        assert interval["value"] == pytest.approx(result[f"auc_{task}"], abs=1e-4)  # the sample is all rows
        assert interval["low"] < interval["value"] < interval["high"]
        assert sum(point["rows"] for point in values["calibration"]) == values["num_rows"]
    weights = {gate["gate"]: gate["weights"] for gate in analysis["gates"]}
    assert list(weights) == ["ctr", "cvr"]
    assert [len(values) for values in weights.values()] == [2, 2]
    assert [sum(values) for values in weights.values()] == pytest.approx([1, 1])
    assert sorted(row["feature"] for row in analysis["importance"]["features"]) == ["item", "price", "tags", "user"]
    assert sorted(row["feature"] for row in analysis["drift"]) == ["item", "price", "tags", "user"]
    assert max(row["psi"] for row in analysis["drift"]) < 0.5
    assert analysis["tables"]["user_emb"]["filled"] == 1.0  # 600 rows of 100 users
    assert {name: fill["is_hashed"] for name, fill in analysis["tables"].items()} == {
        "user_emb": False,
        "item_emb": True,
        "tags_emb": False,
    }
    html = (model_dir / "report.html").read_text()
    headings = ("Quality of the scores", "Segments", "Features", "Gates and experts", "Embedding tables", "Time", "Run")
    assert [heading for heading in headings if f"<h2>{heading}</h2>" not in html] == []
    assert "·  complete</p>" in html, "the report is written after the end of the run is recorded"
    assert "<td>ended</td><td>—" not in html
    end = json.loads((model_dir / "metrics.jsonl").read_text().splitlines()[-1])
    seconds = end["stage_seconds"]
    assert 0 < seconds["read"] < end["seconds"] * 8
    assert seconds["encode"] > 0
    busy = seconds["read"] + seconds["encode"]
    assert f"They were busy for {busy:.1f} s in sum" in html


@pytest.fixture
def num_late_rows(tmp_path: Path, job: Job) -> int:
    """Sort the rows by price; return the number of those from 0.8 on, which are in the last 3 of 10 batches."""
    files = sorted((tmp_path / "data").glob("*.parquet"))
    rows = pa.concat_tables([pq.read_table(file) for file in files]).sort_by("price")
    for number, file in enumerate(files):
        pq.write_table(rows.slice(200 * number, 200), file)
    return int(pc.sum(pc.greater_equal(rows["price"], pa.scalar(0.8, pa.float32()))).as_py())


HELD_OUT = {
    "eval_input_path": "",
    "data_config__eval_split__column": "price",
    "data_config__eval_split__from": "0.8",
    "data_config__eval_batch_size": 64,
}


def analysis_of(model_dir: Path) -> dict[str, Any]:
    """Read the analysis of a run."""
    value: dict[str, Any] = json.loads((model_dir / ANALYSIS).read_text())
    return value


def test_sample_of_rows_held_out_at_the_end_of_the_data_is_all_that_fit(job: Job, num_late_rows: int) -> None:
    """Batches of which no row is evaluated take none of the room."""
    model_dir, _ = job("model", train_config__report_rows=num_late_rows, **HELD_OUT)
    evaluation = [json.loads(line) for line in (model_dir / "metrics.jsonl").read_text().splitlines()][-2]
    assert (evaluation["event"], evaluation["num_rows"]) == ("evaluation", num_late_rows)
    assert analysis_of(model_dir)["num_rows"] == num_late_rows
    assert 64 < num_late_rows < 192


def test_importance_of_rows_held_out_at_the_end_of_the_data_is_measured(
    job: Job, num_late_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is time for one batch, and the first ones have no rows."""
    monkeypatch.setattr("tzrec.run.analysis._LEAST_SECONDS", 0.0)
    monkeypatch.setattr("tzrec.run.analysis._SHARE_OF_TRAINING", 0.0)
    model_dir, _ = job("model", train_config__report_rows=20_000, **HELD_OUT)
    importance = analysis_of(model_dir)["importance"]
    assert 20 < importance["num_rows"] <= 64
    assert 0 < importance["metrics"]["auc_ctr"] < 1
    assert max(abs(row["drops"]["auc_ctr"]["mean"]) for row in importance["features"]) > 0.01


def test_steps_of_an_evaluation_without_held_out_rows_do_not_count(job: Job, num_late_rows: int) -> None:
    """Two of ten batches are evaluated: the last ones, as no row of the first seven is held out."""
    model_dir, _ = job("model", eval_config__num_steps=2, **HELD_OUT)
    evaluation = [json.loads(line) for line in (model_dir / "metrics.jsonl").read_text().splitlines()][-2]
    num_last = 600 - 9 * 64
    assert evaluation["event"] == "evaluation"
    assert evaluation["num_rows"] == num_late_rows - num_last


def test_run_without_report_rows_is_not_analyzed(job: Job) -> None:
    model_dir: Path = job("model", train_config__num_steps=3)[0]
    assert not (model_dir / ANALYSIS).exists()
    assert "Quality of the scores" not in (model_dir / "report.html").read_text()
