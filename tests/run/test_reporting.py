"""The report of a run."""

from __future__ import annotations

import re
from pathlib import Path

from tzrec.checkpoint.position import Position
from tzrec.checkpoint.store import RESULTS
from tzrec.run.evaluation import Evaluation, append_evaluation
from tzrec.run.metric_logger import StepLog
from tzrec.run.reporting import Report
from tzrec.run.stop_condition import StopCondition


def test_report_has_charts_table_and_config(tmp_path: Path) -> None:
    report = Report(tmp_path, 'model_dir: "<out>"')
    for step, loss in ((0, 9.0), (10, 2.0), (20, 1.0)):
        report.on_log(StepLog(Position(step), StopCondition(21), {"l2_loss": loss}, (0.1,), 100.0 * step, None))
    for step, auc in ((10, 0.5), (20, 0.75)):
        evaluation = Evaluation(step, {"auc": auc, "l2_loss": 1.5}, 10, 1.0)
        append_evaluation(tmp_path / RESULTS, evaluation)
        report.on_evaluation(evaluation)
    report.on_end()
    html = (tmp_path / "report.html").read_text()
    headings = ["Metrics on the evaluation data", "Training loss", "Loss on the evaluation data"]
    assert re.findall("<h2>(.*?)</h2>", html) == [*headings, "Throughput, samples per second", "Evaluations", "Config"]
    assert "auc 0.75</li>" in html
    assert "<tr><td>20</td><td>0.750000</td><td>1.500000</td></tr>" in html
    assert "model_dir: &quot;&lt;out&gt;&quot;" in html
    assert 'points="64.0,268.0 708.0,12.0"' in html.split("Training loss")[0], "auc from lowest left to highest right"
    assert 'points="64.0,12.0 708.0,268.0"' in html.split("Training loss")[1], "the loss falls, its first step left out"
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["report.html", RESULTS]


def test_report_with_undefined_metric_leaves_gap(tmp_path: Path) -> None:
    report = Report(tmp_path, "")
    for step, auc in ((10, 0.5), (20, float("nan")), (30, 0.75)):
        evaluation = Evaluation(step, {"auc": auc}, 10, 1.0)
        append_evaluation(tmp_path / RESULTS, evaluation)
        report.on_evaluation(evaluation)
    html = (tmp_path / "report.html").read_text()
    assert "<tr><td>20</td><td>nan</td></tr>" in html
    assert 'points="64.0,268.0 708.0,12.0"' in html
