"""Sections about scores and inputs."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tzrec.report.inputs import bad_row_section, feature_section, gate_section, table_section
from tzrec.report.quality import quality_section, segment_section
from tzrec.run.score_statistics import segment_statistics, task_statistics


@pytest.mark.parametrize(("kind", "num_charts"), [("binary", 4), ("number", 1), ("classes", 0)])
def test_quality_section_has_charts_of_the_kind_of_task(kind: str, num_charts: int) -> None:
    generator = np.random.default_rng(0)
    scores = generator.uniform(size=400)
    labels = (generator.uniform(size=400) < scores).astype(float)
    html = quality_section({"num_rows": 400, "step": 9, "tasks": {"ctr": task_statistics(kind, scores, labels, 1)}})
    assert html.count("<figure>") == num_charts
    assert "400 evaluation rows, scored after step 9" in html
    assert ("mean label" in html) == (kind != "classes"), "numbers of classes have no order"
    assert quality_section({}) == ""


def test_quality_section_of_one_class_has_no_auc() -> None:
    statistics = task_statistics("binary", np.linspace(0.1, 0.2, 30), np.zeros(30), 1)
    statistics["intervals"]["AUC"] = dict.fromkeys(("value", "low", "high"))  # as JSON has them
    html = quality_section({"num_rows": 30, "step": 9, "tasks": {"": statistics}})
    assert "<td>AUC</td>" in html
    assert "—" in html


def test_segment_section_orders_features_by_spread_that_is_certain() -> None:
    def rows(feature: str, aucs: list[float], error: float) -> list[dict[str, object]]:
        values = {"mean_score": 0.1, "mean_label": 0.1, "error": error, "rows": 50, "feature": feature}
        return [{"segment": f"s{number}", "value": value, **values} for number, value in enumerate(aucs)]

    segments = [*rows("noisy", [0.1, 0.9], 0.2), *rows("flat", [0.7, 0.71], 0.01), *rows("steep", [0.6, 0.8], 0.01)]
    html = segment_section({"tasks": {"": {"kind": "binary", "segments": segments, "novelty": []}}})
    assert re.findall("<td>(noisy|flat|steep)</td>", html) == ["steep", "flat", "noisy"]
    assert "0.6000 ± 0.020" in html


def test_segment_statistics_of_numbers_have_no_error() -> None:
    result = segment_statistics("number", np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    assert result["value"] == pytest.approx(2**0.5)
    assert np.isnan(result["error"])


def test_feature_section_orders_by_importance_and_marks_drift() -> None:
    drops = {"auc": {"mean": 0.1, "spread": 0.01}}
    drift = {"psi": 0.3, "train": [0.5, 0.5, 0.0], "eval": [0.9, 0.0, 0.1]}
    analysis = {
        "importance": {"num_rows": 10, "metrics": {"auc": 0.8}, "features": [{"feature": "age", "drops": drops}]},
        "drift": [{"feature": "city", **drift}, {"feature": "age", **drift, "psi": 0.01}],
    }
    html = feature_section(analysis)
    assert re.findall("<tr><td>(age|city)</td>", html) == ["age", "city"]
    assert '<span class="warn">0.300 different</span>' in html
    assert "0.0% → 10.0%" in html
    analysis["importance"]["num_rows"] = 0  # type: ignore[call-overload, index]
    assert "importance, in auc" not in feature_section(analysis), "nothing was measured"
    assert feature_section({}) == ""


def test_table_section_shows_fill_and_collisions() -> None:
    table = {"table": "user_emb", "rows": 1000, "dim": 8, "bytes": 32000, "sharding": "row_wise", "kernel": "fused"}
    html = table_section({"tables": [table]}, {"tables": {"user_emb": {"filled": 0.25, "is_hashed": True}}})
    assert "25.0%" in html
    assert "about 25%" in html
    assert table_section({}, {}) == ""


def test_bad_row_section_lists_columns_and_reasons() -> None:
    html = bad_row_section(
        {"bad_rows": {"price: not a number": 1200}}, {"num_steps": 2, "num_rows": 64, "first_step": 7}
    )
    assert "<td>price</td><td>not a number</td>" in html
    assert "1,200" in html
    assert "skipped 2 steps, 64 rows, first at step 7" in html
    assert bad_row_section({}, None) == ""


def test_gate_section_names_layers_in_words() -> None:
    gates = [{"layer": f"model.levels.{level}", "gate": "ctr", "weights": [0.25, 0.75]} for level in (0, 1)]
    assert re.findall("<h3>(.*?)</h3>", gate_section({"gates": gates})) == ["Level 1", "Level 2"]
    assert "<h3>Experts</h3>" in gate_section({"gates": [{**gates[0], "layer": "model.experts"}]})


def test_table_section_without_fill_has_no_columns_of_it() -> None:
    table = {"table": "user_emb", "rows": 9, "dim": 4, "bytes": 144, "sharding": "table_wise", "kernel": "fused"}
    html = table_section({"tables": [table]}, {})
    assert re.findall("<th(?: [^>]*)?>(.*?)</th>", html) == ["table", "rows", "dim", "size", "sharding", "kernel"]
