"""Constants that `init` writes keep the range of a column that varies little around a large number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tzrec
from tests.fixtures.parquet_run import write_file
from tzrec.features.normalizer import parse_normalizer


@pytest.mark.parametrize(("offset", "spread"), [(1.7e12, 3.6e6), (121_470_432.5, 200.0), (2.0**60, 1e5), (-3e9, 40.0)])
def test_proposed_normalizer_spreads_the_column(tmp_path: Path, offset: float, spread: float) -> None:
    values = offset + spread * np.random.default_rng(0).random(150)
    path = write_file(tmp_path, "t.parquet", price=values)
    result = tzrec.init(path, ["clk"], tmp_path / "first.config")
    (price,) = (f.raw_feature for f in result.config.feature_configs if f.raw_feature.feature_name == "price")
    scaled = parse_normalizer(price.normalizer)(values).astype(np.float32)
    assert (scaled.min(), scaled.max()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, abs=1e-4))
    assert len(np.unique(scaled)) == len(np.unique(values))
    places = np.array(price.piecewise_linear.edges)
    counts = np.histogram(scaled, [-1.0, *places[1:-1], 2.0])[0]
    assert (places.min(), places.max()) == (pytest.approx(0, abs=0.05), pytest.approx(1, abs=0.05))
    assert counts.max() <= 20  # of 150 rows in 16 intervals
    assert tzrec.check(tmp_path / "first.config") == []


def test_number_that_float32_holds_is_not_normalized(tmp_path: Path) -> None:
    path = write_file(tmp_path, "t.parquet", price=1000 + 10 * np.random.default_rng(0).random(150))
    result = tzrec.init(path, ["clk"], tmp_path / "first.config")
    (price,) = (f.raw_feature for f in result.config.feature_configs if f.raw_feature.feature_name == "price")
    assert price.normalizer == ""
    assert 1000 <= min(price.piecewise_linear.edges) < max(price.piecewise_linear.edges) <= 1010
