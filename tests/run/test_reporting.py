"""The report of a run, rebuilt from the files of its model directory."""

from __future__ import annotations

import re
from pathlib import Path

from tzrec.checkpoint.position import Position
from tzrec.checkpoint.store import RESULTS
from tzrec.report.record import ANALYSIS, RECORD, to_line
from tzrec.report.run_files import RunFiles
from tzrec.report.run_page import run_page
from tzrec.run.evaluation import Evaluation, append_evaluation
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog
from tzrec.run.recorder import Recorder
from tzrec.run.reporting import Report
from tzrec.run.stop_condition import StopCondition


def feed(model_dir: Path, evaluations: list[Evaluation]) -> str:
    """Pass three log lines and evaluations to recorder and report; return the page."""
    listeners: list[Listener] = [Recorder(model_dir), Report(model_dir)]
    for step, loss in ((0, 9.0), (10, 2.0), (20, 1.0)):
        log = StepLog(Position(step), StopCondition(21), {"l2_loss": loss}, (0.1,), 100.0 * step, None)
        for listener in listeners:
            listener.on_log(log)
    for evaluation in evaluations:
        append_evaluation(model_dir / RESULTS, evaluation)
        for listener in listeners:
            listener.on_evaluation(evaluation)
    for listener in listeners:
        listener.on_end()
    return (model_dir / "report.html").read_text()


def test_report_has_charts_table_and_config(tmp_path: Path) -> None:
    (tmp_path / "pipeline.config").write_text('model_dir: "<out>"')
    html = feed(
        tmp_path, [Evaluation(step, {"auc": auc, "l2_loss": 1.5}, 9, 1.0) for step, auc in ((10, 0.5), (20, 0.75))]
    )
    assert re.findall("<h2>(.*?)</h2>", html) == ["Metrics", "Losses", "Time", "Evaluations", "Config"]
    assert "evaluation <b>0.75</b></li>" in html
    cells = [f'<td class="number">{cell}</td>' for cell in ("20", "0.750000", "1.500000")]
    assert f"<tr>{''.join(cells)}</tr>" in html
    assert "model_dir: &quot;&lt;out&gt;&quot;" in html
    assert "<td>model_dir</td><td>&lt;out&gt;</td>" in html
    assert "samples/s</span><b>2.0k</b>" in html, "the first step is left out"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [RECORD, "pipeline.config", "report.html", RESULTS]
    )


def test_report_with_undefined_metric_leaves_gap(tmp_path: Path) -> None:
    values = ((10, 0.5), (20, float("nan")), (30, 0.75))
    html = feed(tmp_path, [Evaluation(step, {"auc": auc}, 10, 1.0) for step, auc in values])
    assert '<td class="number">20</td><td class="number">nan</td>' in html
    assert html.count('class="point s0"') >= 2


def test_report_with_damaged_analysis_leaves_it_out(tmp_path: Path) -> None:
    (tmp_path / ANALYSIS).write_text('{"tasks": ')
    assert "Quality of the scores" not in feed(tmp_path, [Evaluation(10, {"auc": 0.5}, 10, 1.0)])


def test_report_of_small_stages_adds_them_up(tmp_path: Path) -> None:
    stages = {"forward": 9.0, "exchange": 0.01, "log": 0.02, "data": 1.0}
    lines = [to_line("end", 1.0, 9, {"signal": 0, "seconds": 10.0, "stage_seconds": stages, "peak_memory_bytes": 1})]
    (tmp_path / RECORD).write_text("\n".join(lines))
    html = run_page(RunFiles.read(tmp_path))
    labels = ["forward pass and lookups", "waiting for data", "other"]
    assert re.findall("</span>([a-z ]+) <b>", html[html.index("Time of the training loop") :]) == labels
