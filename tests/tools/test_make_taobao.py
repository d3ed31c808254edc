from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from tzrec.errors import DataError
from tzrec.tools import make_taobao as tool


@pytest.fixture(scope="module")
def tables() -> tool.HiddenTables:
    return tool.make_hidden_tables(3)


def test_features_are_as_documented() -> None:
    assert len(tool.FEATURES) == 15
    assert sum(feature.rows for feature in tool.FEATURES) == 3_136_312
    for share in ("click", "buy"):
        assert sum(getattr(feature, share) for feature in tool.FEATURES) == pytest.approx(1.0)


@pytest.mark.parametrize("size", [2, 51, 6771, 1_141_730])
def test_permutation_of_ids_is_one_to_one(size: int) -> None:
    assert len(np.unique(tool._permute(np.arange(size), size))) == size


def test_zipf_frequencies_follow_the_law() -> None:
    """Counts by rank, within five standard deviations."""
    size, exponent, count = 50, 1.05, 200_000
    drawn = tool.zipf(size, exponent, count, np.random.default_rng(1))
    counts = np.sort(np.bincount(drawn, minlength=size))[::-1]
    edges = np.arange(1, size + 2, dtype=float) ** (1 - exponent)
    expected = count * (edges[:-1] - edges[1:]) / (edges[0] - edges[-1])  # the continuous law over [k, k + 1)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 25).all()


def test_auc_equals_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    label = rng.random(500) < 0.3
    for score in (rng.random(500), np.round(rng.random(500), 1), np.zeros(500)):
        assert tool.auc(score, label) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_labels_follow_the_true_probabilities(tables: tool.HiddenTables) -> None:
    table, click, buy = tool.make_part(tables, 50_000, np.random.default_rng(4))
    clicked, bought = table["clk"].to_numpy() == 1, table["buy"].to_numpy() == 1
    assert not (bought & ~clicked).any()
    assert clicked.mean() == pytest.approx(tool.CLICK.rate, abs=0.01)
    assert bought[clicked].mean() == pytest.approx(tool.BUY.rate, abs=0.03)
    for label, truth in ((clicked, click), (bought, buy)):
        for low, high in ((0.0, 0.1), (0.1, 0.2), (0.2, 1.0)):
            rows = (truth >= low) & (truth < high)
            if rows.sum() > 1000:
                error = np.sqrt(truth[rows].mean() / rows.sum())
                assert abs(label[rows].mean() - truth[rows].mean()) < 5 * error
    for feature in tool.FEATURES:
        ids = table[feature.name].to_numpy()
        assert ids.min() >= 0
        assert ids.max() < feature.rows


def test_make_taobao_writes_reproducible_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--train_rows", "1003", "--eval_rows", "400", "--seed", "5", "--output_dir"]
    assert tool.main([*words, str(tmp_path / "a")]) == 0
    assert tool.main([*words, str(tmp_path / "b")]) == 0
    assert "(exists)" not in capsys.readouterr().out
    sizes = [pq.read_metadata(tmp_path / "a" / "train" / f"part-{file}.parquet").num_rows for file in range(8)]
    assert sum(sizes) == 1003
    assert max(sizes) - min(sizes) == 1
    eval_tables = [pq.read_table(tmp_path / name / "eval") for name in "ab"]
    assert eval_tables[0].num_rows == 400
    assert eval_tables[0].equals(eval_tables[1])
    hidden_tables = tool.make_hidden_tables(5)
    columns = {feature.name: eval_tables[0][feature.name].to_numpy() for feature in tool.FEATURES}
    attainable = json.loads((tmp_path / "a" / "attainable.json").read_text())
    assert list(attainable) == ["ctr", "cvr"]
    for truth, label, task in zip(hidden_tables.probabilities(columns), ("clk", "buy"), attainable, strict=True):
        assert attainable[task] == pytest.approx(roc_auc_score(eval_tables[0][label].to_numpy(), truth), abs=1e-6)

    before = (tmp_path / "a" / "train" / "part-0.parquet").stat().st_mtime_ns
    assert tool.main([*words, str(tmp_path / "a")]) == 0
    assert "(exists)" in capsys.readouterr().out
    assert (tmp_path / "a" / "train" / "part-0.parquet").stat().st_mtime_ns == before
    assert tool.make_taobao(str(tmp_path / "a"), 16, 16, 6)[1]
    assert pq.read_table(tmp_path / "a" / "train").num_rows == 16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_make_taobao_rejects_a_directory_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(DataError, match="was not written by this tool; choose another --output_dir"):
        tool.make_taobao(str(tmp_path), 16, 16, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
