"""The comparison of first models with gradient boosting, on a planted table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.fixtures.pages import ROOT

pd = pytest.importorskip("pandas", reason="needs pandas")
pytest.importorskip("sklearn", reason="needs scikit-learn")
NAMES = ("boosting", "prepare", "run")


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """experiments/first_model/run.py."""
    monkeypatch.syspath_prepend(ROOT / "experiments" / "first_model")
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield import_module("run")
    for name in NAMES:
        sys.modules.pop(name, None)


def planted(rows: int, seed: int) -> pd.DataFrame:
    """A number with a hump, a category, and a label that both decide."""
    random = np.random.default_rng(seed)
    x, kind = random.normal(size=rows), random.choice(["a", "b"], rows)
    logit = 6 * (np.abs(x) < 0.7) - 4 + (kind == "b")
    label = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    return pd.DataFrame({"x": x, "kind": kind, "label": label})


def write_tables(folder: Path) -> Path:
    folder.mkdir()
    for half, rows in (("train", 1500), ("test", 1000)):
        planted(rows, rows).to_parquet(folder / f"{half}.parquet", index=False)
    return folder


def test_score_of_each_kind_of_label_is_larger_for_better_predictions(experiment: ModuleType) -> None:
    score = experiment.score
    assert score(np.array([0, 1, 1, 0]), np.array([0.1, 0.3, 0.9, 0.2])) == 1.0
    assert score(np.array([0, 1, 2, 1]), np.eye(3)[[0, 1, 2, 0]]) == 0.75
    assert score(np.array([1.5, 2.5, 3.5]), np.array([1.5, 2.5, 3.5])) == 1.0
    assert score(np.array([1.5, 2.5, 3.5]), np.full(3, 2.5)) == 0.0


def test_both_sides_of_a_table_are_trained_in_each_call(
    experiment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results.json"
    results.write_text('[{"table": "t", "label": "label", "first_model": 0.1, "boosting": 0.2, "tuned": 0.3}]')
    monkeypatch.setattr(experiment, "RESULTS", results)
    lines = experiment.measure(write_tables(tmp_path / "t"), ("label",), argparse.Namespace(tune=0))
    experiment.save(lines)
    (line,) = json.loads(results.read_text())
    assert (line["metric"], line["tuned"]) == ("auc", 0.3)  # tuned by an earlier call
    assert line["boosting"] > 0.8
    assert line["first_model"] > line["boosting"] - 0.02
