"""Spark on this machine: rows equal to those of a single process. Skipped without the package pyspark."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import tzrec.spark
from tests.encoding.test_job import run_fg, write_config
from tests.engines.test_ray import ROWS, assert_close, folder, words
from tests.fixtures.numbered_rows import table
from tests.fixtures.page_examples import run_example
from tzrec.errors import DataError, SetupError, UsageError

__all__ = ["folder", "words"]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Two threads of this machine."""
    sql = pytest.importorskip(
        "pyspark.sql", reason="pyspark is not installed: pip install 'tzrec[spark]', or make test-engines"
    )
    patch = pytest.MonkeyPatch()
    patch.setenv("PYSPARK_PYTHON", sys.executable)
    builder = sql.SparkSession.builder.master("local[2]").config("spark.driver.host", "127.0.0.1")
    session = builder.config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2").getOrCreate()
    yield session
    session.stop()
    patch.undo()


@pytest.mark.slow
def test_spark_scores_equal_those_of_a_single_process(spark: Any, folder: Path) -> None:
    frame = spark.read.parquet(f"{folder}/rows")
    scores = tzrec.spark.predict(frame, str(folder / "package"), ["row", "user"])
    assert scores.columns == pq.read_table("here").column_names  # without scoring a row
    assert_close(scores.toArrow().sort_by("row"), pq.read_table("here"))
    names = run_example("tzrec.spark.predict", folder)
    assert names["scores"].count() == ROWS == pq.read_table("spark_scores").num_rows
    with pytest.raises(UsageError, match='the model has no output "probs"'):
        tzrec.spark.predict(frame, str(folder / "package"), output_columns=["probs"])
    with pytest.raises(DataError, match="no column nothing in the rows"):
        tzrec.spark.predict(frame, str(folder / "package"), ["nothing"])
    with pytest.raises(DataError, match="several columns user in the rows"):
        tzrec.spark.predict(frame.select("*", "user"), str(folder / "package"))


@pytest.mark.slow
def test_spark_encodes_as_fg(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(table(60), tmp_path / "data" / "0.parquet")
    config = write_config(tmp_path / "data")
    assert run_fg(config, tmp_path / "out", "--reserved_columns", "uid") == 0
    frame = spark.read.parquet(f"{tmp_path}/data/*.parquet")
    encoded = tzrec.spark.encode(frame, config, ["uid"]).toArrow().sort_by("uid")
    expected = pq.read_table(tmp_path / "out" / "train")
    assert encoded.to_pydict() == expected.to_pydict()


def test_spark_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(SetupError, match=r"needs the package pyspark: pip install 'tzrec\[spark\]'"):
        tzrec.spark.encode(None, "no.config")
