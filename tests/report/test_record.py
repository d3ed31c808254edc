"""The record of a run."""

from __future__ import annotations

import json
from pathlib import Path

from tzrec.report.record import RECORD, RunRecord, to_line


def test_to_line_turns_values_that_are_not_finite_into_null() -> None:
    line = to_line("log", 1.23456, 3, {"losses": {"bce": float("nan")}, "learning_rates": (0.1, float("inf"))})
    expected = {"event": "log", "time": 1.235, "step": 3, "losses": {"bce": None}, "learning_rates": [0.1, None]}
    assert json.loads(line) == expected


def test_read_leaves_out_steps_that_a_resumed_run_repeats(tmp_path: Path) -> None:
    lines = [
        to_line("start", 0, -1, {"seed": 1}),
        *(to_line("log", 1, step, {"epoch": 0}) for step in (0, 10, 20)),
        to_line("skip", 2, 18, {"num_steps": 1, "num_rows": 8, "first_step": 18}),
        to_line("start", 3, 10, {"seed": 2}),
        to_line("log", 4, 20, {"epoch": 1}),
    ]
    (tmp_path / RECORD).write_text("\n".join(lines) + '\n{"event": "lo')
    record = RunRecord.read(tmp_path)
    assert [(log["step"], log["epoch"]) for log in record.logs] == [(0, 0), (10, 0), (20, 1)]
    assert [start["seed"] for start in record.starts] == [1, 2]
    assert record.facts["seed"] == 2
    assert record.skip is None


def test_read_of_new_run_leaves_out_all_earlier_ones(tmp_path: Path) -> None:
    lines = [to_line("log", 0, 5, {}), to_line("start", 1, -1, {}), to_line("evaluation", 2, 3, {"metrics": {}})]
    (tmp_path / RECORD).write_text("\n".join(lines))
    record = RunRecord.read(tmp_path)
    assert (len(record.logs), len(record.starts), len(record.evaluations)) == (0, 1, 1)


def test_read_without_file_is_empty(tmp_path: Path) -> None:
    assert RunRecord.read(tmp_path) == RunRecord()
