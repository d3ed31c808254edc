"""Page of a study: every trial is in its plots and its table."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fixtures.studies import SPACE, settings_of
from tzrec.tuning.page import write_page
from tzrec.tuning.plots import parallel_coordinates, progress_plot
from tzrec.tuning.records import TrialRecord

RECORDS = [
    TrialRecord(0, "complete", 0.7, {"lr": 0.01, "embedding_dim": 4}, 60.0),
    TrialRecord(1, "complete", 0.8, {"lr": 0.1, "embedding_dim": 16}, 61.0),
    TrialRecord(2, "pruned", 0.6, {"lr": 0.001, "embedding_dim": 8}, 9.0),
    TrialRecord(3, "failed", None, {"lr": 0.05, "embedding_dim": 12}, 1.0, "loss is <nan>"),
]


def points(svg: str, trial: int) -> list[list[float]]:
    """Return the coordinates of the line of a trial."""
    match = re.search(rf'points="([^"]*)"[^>]*><title>trial {trial}:', svg)
    assert match is not None
    return [[float(number) for number in pair.split(",")] for pair in match[1].split()]


def test_line_of_a_trial_goes_through_its_values(tmp_path: Path) -> None:
    svg = parallel_coordinates(RECORDS, settings_of(tmp_path, SPACE), ["lr", "embedding_dim"])
    bottom, top = 290.0, 46.0
    middle = (bottom + top) / 2
    assert points(svg, 1) == [[56.0, top], [360.0, top], [664.0, top]]
    assert points(svg, 0) == [[56.0, middle], [360.0, bottom], [664.0, bottom]]
    assert points(svg, 2)[0] == [56.0, bottom]
    assert points(svg, 2)[2] == [664.0, bottom], "worse than all complete ones"
    assert "trial 3:" not in svg
    assert svg.count("stroke-dasharray") == 1
    assert svg.index("trial 1:") > svg.index("trial 0:") > svg.index("trial 2:")  # the best one is drawn last


def test_progress_shows_all_scored_trials_and_the_best_so_far(tmp_path: Path) -> None:
    svg = progress_plot(RECORDS, settings_of(tmp_path, SPACE))
    assert len(re.findall("<circle", svg)) == 3
    assert svg.count('fill="none" stroke="rgb(59,125,240)"') == 1  # the ring of the pruned one
    line = re.search(r'<polyline points="([^"]*)"', svg)
    assert line is not None
    assert [pair.split(",")[1] for pair in line[1].split()] == ["290.0", "290.0", "46.0", "46.0"]


def test_page_names_the_best_trial_its_gain_and_errors(tmp_path: Path) -> None:
    path = tmp_path / "tune.html"
    write_page(path, RECORDS, settings_of(tmp_path, SPACE), {})
    page = path.read_text()
    assert "Best: trial 1 with auc_ctr 0.8000: lr 0.1, embedding_dim 16." in page
    assert "The starting config has 0.7000 on the same rows: +0.1000." in page
    assert "4 trials: 2 complete, 1 pruned, 1 failed." in page
    assert "failed: loss is &lt;nan&gt;" in page
    assert "estimated from 10 complete trials on" in page
    assert "http" not in page.replace("http://www.w3.org", "")
