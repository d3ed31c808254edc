"""What an evaluation leaves behind."""

from __future__ import annotations

import json
import math
from pathlib import Path

from tzrec.run.evaluate import Evaluation, append


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def test_lines_are_strict_json(tmp_path: Path) -> None:
    for step, auc in ((1, math.nan), (2, 0.75), (None, math.inf)):
        append(tmp_path / "results", Evaluation(step, {"auc": auc, "l2_loss": 1.5}, 10, 1.0))
    lines = (tmp_path / "results").read_text().splitlines()
    assert [json.loads(line, parse_constant=refuse) for line in lines] == [
        {"global_step": 1, "auc": None, "l2_loss": 1.5},
        {"global_step": 2, "auc": 0.75, "l2_loss": 1.5},
        {"global_step": None, "auc": None, "l2_loss": 1.5},
    ]
