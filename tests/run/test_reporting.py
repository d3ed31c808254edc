"""The report of a run, rebuilt from the files of its model directory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
    assert "evaluation <b>0.7500</b></li>" in html
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


@pytest.mark.parametrize(("log_s", "rest"), [(0.04, ["other"]), (0.001, [])])
def test_report_of_small_stages_adds_them_up(log_s: float, rest: list[str], tmp_path: Path) -> None:
    stages = {"forward": 9.0, "exchange": 0.04, "log": log_s, "data": 1.0}
    lines = [to_line("end", 1.0, 9, {"signal": 0, "seconds": 10.0, "stage_seconds": stages, "peak_memory_bytes": 1})]
    (tmp_path / RECORD).write_text("\n".join(lines))
    html = run_page(RunFiles.read(tmp_path))
    labels = ["forward pass and lookups", "waiting for data", *rest]
    assert re.findall("</span>([a-z ]+) <b>", html[html.index("Time of the training loop") :]) == labels


def test_report_exists_from_first_evaluation_on(tmp_path: Path) -> None:
    report = Report(tmp_path)
    report.on_log(StepLog(Position(0), StopCondition(9), {"l2_loss": 1.0}, (0.1,), 10.0, None))
    assert not (tmp_path / "report.html").exists()
    report.on_evaluation(Evaluation(10, {"auc": 0.5}, 10, 1.0))
    assert (tmp_path / "report.html").exists()


def test_report_of_many_evaluations_is_written_in_one_percent_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 evaluations, one a second, of a page that costs 2 ms for each of them: once each they would cost 90 s."""
    now, written, num_evaluations, spent = [1000.0], [], 0, 0.0

    def write(model_dir: Path) -> None:
        nonlocal spent
        spent += 0.002 * num_evaluations
        now[0] += 0.002 * num_evaluations
        written.append((num_evaluations, now[0]))

    monkeypatch.setattr("tzrec.run.write_pace.time.monotonic", lambda: now[0])
    monkeypatch.setattr("tzrec.run.reporting.write_report", write)
    report = Report(tmp_path)
    for num_evaluations in range(1, 301):
        now[0] += 1.0
        report.on_evaluation(Evaluation(num_evaluations, {"auc": 0.5}, 10, 1.0))
    assert len(written) == 25
    assert 2.9 < spent < 3.0, "of 300 s"
    assert all(later[1] - earlier[1] < 0.2 * later[0] + 1.0 for earlier, later in zip(written, written[1:]))
    report.on_end()
    assert written[-1][0] == 300 and len(written) == 26, "the last page has all of them"


def test_report_that_waits_is_written_by_a_log_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, pages = [1000.0], []

    def write(model_dir: Path) -> None:
        now[0] += 0.5
        pages.append(now[0])

    monkeypatch.setattr("tzrec.run.write_pace.time.monotonic", lambda: now[0])
    monkeypatch.setattr("tzrec.run.reporting.write_report", write)
    report = Report(tmp_path)
    for number in range(2):
        now[0] += 10.0
        report.on_evaluation(Evaluation(number, {"auc": 0.5}, 10, 1.0))
    for _ in range(6):
        now[0] += 10.0
        report.on_log(StepLog(Position(9), StopCondition(9), {"l2_loss": 1.0}, (0.1,), 10.0, None))
    assert pages == [1010.5, 1061.0], "the second one begins 50 s later, a hundred times 0.5 s"


def test_report_has_a_chart_of_each_learning_rate_that_changes(tmp_path: Path) -> None:
    logs = [
        {"epoch": 0, "losses": {"a": 1.0}, "metrics": {}, "learning_rates": rates, "rows_per_second": 1.0}
        for rates in ([0.02, 0.0001, 0.001], [0.02, 0.0002, 0.001])
    ]
    lines = [to_line("log", 1.0, 10 * step, log) for step, log in enumerate(logs)]
    (tmp_path / RECORD).write_text("\n".join(lines))
    html = run_page(RunFiles.read(tmp_path))
    assert re.findall("<figcaption>(learning rate[^<]*)", html) == ["learning rate of dense parameters 1"]
    assert "Constant learning rates: embedding tables 0.02, dense parameters 2 0.001." in html
