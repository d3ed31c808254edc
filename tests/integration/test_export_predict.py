"""Export, and prediction from a package and from a checkpoint, on one rank and on two."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from tests.fixtures.log_lines import recorded_log
from tests.fixtures.small_model import OUTPUTS, expected_predictions, exported_package, saved_model, small_rows
from tzrec.distributed import group
from tzrec.export import main as export_main
from tzrec.predict import main as predict_main

ROWS = 101


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows in three files of unequal size."""
    folder = tmp_path_factory.mktemp("data")
    for name, (first, stop) in {"a": (0, 10), "b": (10, 11), "c": (11, ROWS)}.items():
        pq.write_table(small_rows(ROWS).slice(first, stop - first), folder / f"{name}.parquet")
    return folder


def words(data: Path, out: Path, *more: str) -> list[str]:
    return ["--predict_input_path", f"{data}/*.parquet", "--predict_output_path", str(out), *more]


def from_package() -> list[str]:
    return ["--model_path", str(exported_package())]


def from_checkpoint() -> list[str]:
    return ["--pipeline_config", str(saved_model() / "pipeline.config")]


def read(out: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(out.glob("part-*.parquet"))])


def assert_scores(table: pa.Table) -> None:
    """Assert that every row has the scores of the trained model, in order."""
    for name, value in expected_predictions(small_rows(ROWS)).items():
        scores = np.stack(table[name].to_numpy())
        np.testing.assert_allclose(scores, value.numpy()[: len(scores)], atol=1e-6, rtol=1e-6)


def two_ranks(*arguments: str) -> subprocess.CompletedProcess[str]:
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "tzrec.predict",
    ]
    return subprocess.run([*launch, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("model", [from_package, from_checkpoint])
@pytest.mark.parametrize("batch_size", [1, 7, 8192])
def test_predict_writes_scores_in_order_of_rows(data: Path, tmp_path: Path, model: Any, batch_size: int) -> None:
    flags = ["--batch_size", str(batch_size), "--reserved_columns", "user,row"]
    assert predict_main([*model(), *words(data, tmp_path / "out", *flags)]) == 0
    table = read(tmp_path / "out")
    assert table.column_names == [*OUTPUTS, "user", "row"]
    assert table["row"].to_pylist() == list(range(ROWS))
    assert table["user"].equals(small_rows(ROWS)["user"])
    assert_scores(table)


def test_predict_on_two_ranks_writes_one_part_per_file(data: Path, tmp_path: Path) -> None:
    """The parts sorted by name are the rows in order, whichever rank has written them."""
    done = two_ranks(*from_package(), *words(data, tmp_path / "out", "--batch_size", "8", "--reserved_columns", "row"))
    assert done.returncode == 0, done.stderr
    assert {path.name: pq.read_table(path).num_rows for path in (tmp_path / "out").glob("part-*")} == {
        "part-000000-a.parquet": 10,
        "part-000001-b.parquet": 1,
        "part-000002-c.parquet": 90,
    }
    assert {path.name for path in (tmp_path / "out").glob("_*")} == {"_SUCCESS", "_manifest.json"}
    table = read(tmp_path / "out")
    assert table["row"].to_pylist() == list(range(ROWS))
    assert_scores(table)


def test_predict_with_failed_other_rank_keeps_finished_parts(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([True, False])  # all ranks have the output directory; one fails to write its part
    command = [*from_package(), *words(data, tmp_path / "out")]
    with monkeypatch.context() as patch, recorded_log() as lines:
        patch.setattr(group, "all_agree", lambda flag: next(answers))
        assert predict_main(command) == 1
    assert "another rank failed; see its error" in capfd.readouterr().err
    kept = "3 of 3 parts are finished and kept; run the same command again to score the others"
    assert f"predict {tmp_path}/out.partial: {kept}" in lines
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]
    with recorded_log() as lines:
        assert predict_main(command) == 0
    assert "predict 3 of 3 parts are already finished" in lines
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert_scores(read(tmp_path / "out"))


@pytest.mark.slow
def test_predict_with_bad_row_on_one_rank_publishes_nothing(tmp_path: Path) -> None:
    """The bad row is among the rows of rank 1; its error names the row."""
    bad = small_rows(ROWS)
    items = bad["item"].to_pylist()
    items[90] = 999
    (tmp_path / "data").mkdir()
    bad = bad.set_column(bad.column_names.index("item"), "item", pa.array(items))
    pq.write_table(bad, tmp_path / "data" / "a.parquet")
    done = two_ranks(*from_package(), *words(tmp_path / "data", tmp_path / "out"))
    assert done.returncode != 0
    assert "row 91: column \"item\" has '999'" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_predict_writes_selected_columns_as_csv(data: Path, tmp_path: Path) -> None:
    flags = ["--output_columns", "probs_kind,probs_ctr", "--reserved_columns", "ALL_COLUMNS", "--debug_level", "1"]
    flags += ["--writer_type", "CsvWriter", "--predict_steps", "2", "--batch_size", "8", "--predict_threads", "0"]
    assert predict_main([*from_package(), *words(data, tmp_path / "out", *flags)]) == 0
    parts = sorted((tmp_path / "out").glob("part-*.csv"))
    assert [path.name for path in parts] == ["part-000000-a.csv", "part-000001-b.csv", "part-000002-c.csv"]
    table = pa.concat_tables([pacsv.read_csv(path) for path in parts])
    rows = small_rows(ROWS)
    assert table.column_names == ["probs_kind", "probs_ctr", *rows.column_names, "__features__"]
    assert table["row"].to_pylist() == list(range(16))  # two batches of eight
    probs = np.array([json.loads(text) for text in table["probs_kind"].to_pylist()])
    np.testing.assert_allclose(probs, expected_predictions(rows)["probs_kind"][:16].numpy(), atol=1e-6)
    assert f"item:{rows['item'][3]}" in table["__features__"][3].as_py().split(" | ")


def test_predict_writes_effective_columns_and_trace(data: Path, tmp_path: Path) -> None:
    flags = ["--reserved_columns", "ALL_EFFECTIVE_COLUMNS", "--is_profiling", "--predict_steps", "1"]
    assert predict_main([*from_checkpoint(), *words(data, tmp_path / "out", *flags)]) == 0
    kept = set(read(tmp_path / "out").column_names) - set(OUTPUTS)
    assert kept == set(small_rows(1).column_names) - {"row"}
    assert "traceEvents" in json.loads((tmp_path / "out.trace-0.json").read_text())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "pass either --model_path or --pipeline_config"),
        (["--model_path", "x", "--pipeline_config", "y"], "pass either"),
        (["--model_path", "x", "--checkpoint_path", "y"], "a package has its own weights"),
        (["--model_path", "nowhere"], "nowhere is not a package"),
        (["--scripted_model_path", "nowhere"], "nowhere is not a package"),
        (["--pipeline_config", "nowhere"], "nowhere"),
    ],
)
def test_predict_with_contradictory_flags_fails(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert predict_main([*flags, *words(data, tmp_path / "out")]) > 0
    assert message in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_predict_without_rows_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pq.write_table(small_rows(3).slice(0, 0), tmp_path / "empty.parquet")
    assert predict_main([*from_package(), *words(tmp_path, tmp_path / "out")]) == 1
    assert "no rows" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["empty.parquet"]


def test_predict_into_occupied_directory_fails(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "part-0.parquet").write_text("existing")
    assert predict_main([*from_package(), *words(data, tmp_path)]) == 2
    assert "is not empty; remove it or choose another one" in capfd.readouterr().err
    assert (tmp_path / "part-0.parquet").read_text() == "existing"


def test_predict_with_damaged_package_fails(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    package = Path(shutil.copytree(exported_package(), tmp_path / "package"))
    (package / "weights.safetensors").write_bytes(b"")
    assert predict_main(["--model_path", str(package), *words(data, tmp_path / "out")]) == 1
    assert "weights.safetensors has 0 bytes instead of" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def test_export_with_invalid_paths_fails(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ["--pipeline_config", str(saved_model() / "pipeline.config")]
    (tmp_path / "file").touch()
    assert export_main([*config, "--export_dir", str(tmp_path)]) == 2
    assert "is not empty" in capfd.readouterr().err
    assert export_main([*config, "--export_dir", str(tmp_path / "a"), "--checkpoint_path", str(tmp_path)]) == 1
    assert "holds no model.ckpt-<step>" in capfd.readouterr().err
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert export_main([*config, "--export_dir", str(tmp_path)]) == 0  # rank 0 does it
