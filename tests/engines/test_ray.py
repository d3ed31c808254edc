"""Ray Data on a local cluster: rows equal to those of a single process. Skipped without the package ray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tzrec.ray
from tests.encoding.test_job import run_fg, write_config
from tests.fixtures.numbered_rows import table
from tests.fixtures.page_examples import run_example
from tests.fixtures.small_model import exported_package, saved_model, small_rows
from tzrec.predict import main as predict_main

ROWS = 200


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Two processors of this machine."""
    module = pytest.importorskip("ray", reason="ray is not installed: pip install 'tzrec[ray]', or make test-engines")
    module.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    yield module
    module.shutdown()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with rows in four files, the package, and the scores of a single process."""
    (tmp_path / "rows").mkdir()
    for number in range(4):
        pq.write_table(small_rows(ROWS).slice(number * 50, 50), tmp_path / "rows" / f"{number}.parquet")
    (tmp_path / "package").symlink_to(exported_package())
    monkeypatch.chdir(tmp_path)
    assert predict_main(words("here")) == 0
    return tmp_path


def words(out: str) -> list[str]:
    rows = ["--predict_input_path", "rows/*.parquet", "--predict_output_path", out]
    return ["--model_path", "package", "--reserved_columns", "row,user", *rows]


def by_row(scores: pa.Table) -> pa.Table:
    return scores.sort_by("row")


def assert_close(scores: pa.Table, expected: pa.Table) -> None:
    assert scores.schema.remove_metadata().equals(expected.schema.remove_metadata())
    assert scores["row"].to_pylist() == expected["row"].to_pylist() == list(range(ROWS))
    assert scores["user"].to_pylist() == expected["user"].to_pylist()
    for name in ("probs_ctr", "y_ltv"):
        assert scores[name].to_pylist() == pytest.approx(expected[name].to_pylist(), abs=1e-6)


@pytest.mark.slow
def test_ray_scores_equal_those_of_a_single_process(ray: Any, folder: Path) -> None:
    dataset = ray.data.read_parquet(f"{folder}/rows")
    scored = tzrec.ray.predict(dataset, str(folder / "package"), ["row", "user"], batch_size=16, num_actors=2)
    tables = [ray.get(reference) for reference in scored.to_arrow_refs()]
    assert_close(by_row(pa.concat_tables(table for table in tables if table.num_rows)), pq.read_table("here"))
    assert predict_main([*words("there"), "--ray"]) == 0
    assert_close(pq.read_table("there"), pq.read_table("here"))
    assert (folder / "there" / "_SUCCESS").exists() and not (folder / "there.partial").exists()
    names = run_example("tzrec.ray.predict", folder)
    assert names["scores"].count() == ROWS == pq.read_table("ray_scores").num_rows


@pytest.mark.slow
def test_ray_encodes_as_fg(ray: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(table(60), tmp_path / "data" / "0.parquet")
    config = write_config(tmp_path / "data")
    assert run_fg(config, tmp_path / "out", "--reserved_columns", "uid") == 0
    encoded = tzrec.ray.encode(ray.data.read_parquet(f"{tmp_path}/data"), config, ["uid"], num_actors=1)
    tables = [ray.get(reference) for reference in encoded.to_arrow_refs()]
    expected = pq.read_table(tmp_path / "out" / "train")
    assert pa.concat_tables(tables).sort_by("uid").equals(expected)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--predict_steps", "3"], "--predict_steps cannot be combined with --ray"),
        (["--writer_type", "CsvWriter", "--debug_level", "1"], "--writer_type CsvWriter, --debug_level cannot be"),
        (["--dataset_type", "CsvDataset"], "--ray reads Parquet, not CsvDataset"),
    ],
)
def test_predict_on_ray_refuses_flags_without_meaning(
    tmp_path: Path, flags: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = ["--predict_input_path", "x", "--predict_output_path", f"{tmp_path}/out"]
    assert predict_main(["--model_path", str(exported_package()), "--ray", *paths, *flags]) == 2
    assert message in capfd.readouterr().err


def test_predict_on_ray_needs_a_package(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    paths = ["--predict_input_path", "x", "--predict_output_path", f"{tmp_path}/out"]
    assert predict_main(["--pipeline_config", str(saved_model() / "pipeline.config"), "--ray", *paths]) == 2
    assert "--ray requires --model_path" in capfd.readouterr().err
