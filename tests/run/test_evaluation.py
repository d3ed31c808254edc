"""Results of an evaluation."""

from __future__ import annotations

import json
import math
from pathlib import Path

from tzrec.run.evaluation import Evaluation, append_evaluation


def fail_on_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def test_append_evaluation_with_nonfinite_metric_writes_null(tmp_path: Path) -> None:
    for step, auc in ((1, math.nan), (2, 0.75), (None, math.inf)):
        append_evaluation(tmp_path / "results", Evaluation(step, {"auc": auc, "l2_loss": 1.5}, 10, 1.0))
    lines = (tmp_path / "results").read_text().splitlines()
    assert [json.loads(line, parse_constant=fail_on_constant) for line in lines] == [
        {"global_step": 1, "auc": None, "l2_loss": 1.5},
        {"global_step": 2, "auc": 0.75, "l2_loss": 1.5},
        {"global_step": None, "auc": None, "l2_loss": 1.5},
    ]


def test_evaluation_text_has_rows_per_second() -> None:
    evaluation = Evaluation(1200, {"auc_ctr": 0.63412, "auc_cvr": 0.64069}, 200_000, 200_000 / 61_000)
    assert str(evaluation) == "eval   step 1200  auc_ctr 0.6341  auc_cvr 0.6407  (200,000 rows, 61.0k/s)"
    assert evaluation.to_json() == '{"global_step": 1200, "auc_ctr": 0.63412, "auc_cvr": 0.64069}'
