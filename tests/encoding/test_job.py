"""`tzrec fg`: every row is encoded once, also after interruptions, and training on the result equals raw training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from tests.fixtures.numbered_rows import table
from tests.fixtures.record_losses import Recorder
from tzrec import train_eval
from tzrec.check import main as check_main
from tzrec.checkpoint.lock import Lock
from tzrec.config.check import load_checked
from tzrec.config.load import dump_config, load_config
from tzrec.data.parts import part
from tzrec.data.synthetic import make_data
from tzrec.encoding.processes import write_part
from tzrec.predict import main as predict_main
from tzrec.protos import data_pb2
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.run.train import train
from tzrec.tools import fg_encode

ROOT = Path(__file__).parents[2]
CONFIG = """
train_input_path: "{data}/*.{kind}" eval_input_path: "" model_dir: "{data}/model"
train_config {{
  sparse_optimizer {{ sgd_optimizer {{ lr: 0.1 }} constant_learning_rate {{}} }}
  dense_optimizer {{ sgd_optimizer {{ lr: 0.1 }} constant_learning_rate {{}} }}
  num_epochs: 1
}}
data_config {{
  dataset_type: {dataset} fg_mode: FG_DAG batch_size: 4 with_header: true label_fields: "clk" sample_weight_fields: "w"
  {more}
}}
feature_configs {{ id_feature {{ feature_name: "id" expression: "user:uid" num_buckets: 1000 embedding_dim: 4 }} }}
feature_configs {{
  raw_feature {{ feature_name: "cost" expression: "item:price" fg_encoded_default_value: "7" default_value: "1" }}
}}
model_config {{
  feature_groups {{ group_name: "deep" feature_names: ["id", "cost"] group_type: DEEP }}
  multi_tower {{ towers {{ input: "deep" mlp {{ hidden_units: [4] }} }} final {{ hidden_units: [4] }} }}
  losses {{ binary_cross_entropy {{}} }}
}}
"""


def write_config(data: Path, kind: str = "parquet", more: str = "") -> str:
    dataset = "CsvDataset" if kind == "csv" else "ParquetDataset"
    path = data / "raw.config"
    path.write_text(CONFIG.format(data=data, kind=kind, dataset=dataset, more=more))
    return str(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """50 rows numbered over three files, row groups of 5."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number, (first, rows) in enumerate([(0, 23), (23, 0), (23, 27)]):
        pq.write_table(table(rows, first), folder / f"{number}.parquet", row_group_size=5)
    return folder


def split_at_rows(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End parts at the first row group after so many rows."""
    monkeypatch.setattr(part, "MIN_ROWS", rows)
    monkeypatch.setattr(part, "MAX_ROWS", rows)


def run_fg(config: str, out: Path, *more: str, processes: int = 1) -> int:
    words = ["--pipeline_config", config, "--output_path", str(out), "--processes", str(processes), *more]
    return fg_encode.main(words)


def ids(folder: Path) -> list[int]:
    """The ids of all rows in the order in which training reads the files."""
    tables = [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    return [row[0] for part in tables for row in part["id"].to_pylist()]


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "_manifest.json").read_text())


def test_fg_encodes_every_row_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split_at_rows(10, monkeypatch)
    out = tmp_path / "out"
    assert run_fg(write_config(data), out, "--batch_size", "3", "--reserved_columns", "uid") == 0
    assert ids(out / "train") == list(range(50))
    content = manifest(out / "train")
    assert [(part["first"], part["after"], part["rows"]) for part in content["parts"]] == [
        (0, 10, 10), (10, 20, 10), (20, None, 3), (0, None, 0), (0, 10, 10), (10, 20, 10), (20, None, 7),
    ]  # fmt: skip
    assert (content["rows"], content["complete"]) == (50, True)
    assert [file["size"] for file in content["inputs"]] == [
        path.stat().st_size for path in sorted(data.glob("*.parquet"))
    ]
    rows = pq.read_table(out / "train")  # other files of the directory are ignored
    assert rows.column_names == ["id", "cost", "clk", "w", "uid"]
    np.testing.assert_array_equal(rows["uid"], np.arange(50))
    np.testing.assert_array_equal(rows["w"], np.arange(50) * 0.25)


@pytest.mark.slow
def test_fg_with_two_processes_encodes_every_row_once(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_fg(write_config(data), tmp_path / "out", processes=2) == 0
    assert ids(tmp_path / "out" / "train") == list(range(50))
    write_bad_csv(tmp_path / "bad")  # an error of a worker process is reported as one of this process
    (tmp_path / "bad" / "1.csv").write_text("uid,price,clk,w\n5,1,1,1\n")
    assert run_fg(write_config(tmp_path / "bad", "csv"), tmp_path / "no", processes=2) == 1
    assert f"{tmp_path}/bad/0.csv, line 3: column \"uid\" has '2000'" in capsys.readouterr().err


def test_fg_writes_a_config_that_differs_only_in_the_data(data: Path, tmp_path: Path) -> None:
    config = write_config(data, more='input_fields_str: "uid:INT64"')
    assert run_fg(config, tmp_path / "out") == 0
    raw, encoded = load_config(config), load_config(str(tmp_path / "out" / "pipeline.config"))
    assert encoded.train_input_path == f"{tmp_path}/out/train/*.parquet" and encoded.eval_input_path == ""
    assert not encoded.feature_configs[1].raw_feature.HasField("fg_encoded_default_value")
    assert not encoded.data_config.with_header and not encoded.data_config.input_fields_str
    encoded.train_input_path, encoded.data_config.fg_mode = raw.train_input_path, raw.data_config.fg_mode
    encoded.data_config.with_header, encoded.data_config.input_fields_str = True, "uid:INT64"
    encoded.feature_configs[1].raw_feature.fg_encoded_default_value = "7"
    assert dump_config(encoded) == dump_config(raw)  # no other field differs
    assert check_main(["--pipeline_config", str(tmp_path / "out" / "pipeline.config")]) == 0


def test_fg_with_input_path_encodes_only_its_files(data: Path, tmp_path: Path) -> None:
    assert run_fg(write_config(data), tmp_path / "out", "--input_path", f"{data}/0.parquet") == 0
    assert ids(tmp_path / "out" / "data") == list(range(23))
    encoded = load_config(str(tmp_path / "out" / "pipeline.config"))
    assert encoded.train_input_path == f"{tmp_path}/out/data/*.parquet"


def stop_before(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the run in the middle of a part, whose file is not complete."""

    def interrupted(encoder: Any, current: Any, directory: str, *more: Any) -> Any:
        if current.number == part:
            Path(directory, f".{current.name}.parquet.tmp").write_bytes(b"PAR1 half")
            raise KeyboardInterrupt
        return write_part(encoder, current, directory, *more)

    monkeypatch.setattr("tzrec.encoding.processes.write_part", interrupted)


def test_fg_after_an_interruption_encodes_only_missing_parts(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split_at_rows(10, monkeypatch)
    config, out = write_config(data), tmp_path / "out"
    with monkeypatch.context() as patch:
        stop_before(5, patch)  # the largest parts come first: 0, 1, 4, 5, 6, 2, 3
        assert run_fg(config, out) == 130
    train = out / "train"
    assert ids(train) == [*range(20), *range(23, 33)] and not manifest(train)["complete"]
    assert not (out / "pipeline.config").exists()
    before = {path.name: path.stat().st_mtime_ns for path in train.glob("*.parquet")}
    (train / "part-000001.parquet").write_bytes(b"PAR1 a broken disk")
    assert run_fg(config, out) == 0
    assert ids(train) == list(range(50)) and manifest(train)["complete"]
    after = {path.name: path.stat().st_mtime_ns for path in train.glob("*.parquet")}
    assert after["part-000000.parquet"] == before["part-000000.parquet"]  # not written again
    assert sorted(path.name for path in train.iterdir() if ".tmp" in path.name) == []
    assert run_fg(config, out) == 0  # all parts exist
    assert {path.name: path.stat().st_mtime_ns for path in train.glob("*.parquet")} == after


def test_fg_replaces_parts_that_were_changed(data: Path, tmp_path: Path) -> None:
    config, train = write_config(data), tmp_path / "out" / "train"
    assert run_fg(config, tmp_path / "out") == 0
    pq.write_table(pq.read_table(train / "part-000000.parquet").slice(0, 2), train / "part-000000.parquet")
    (train / "part-000002.parquet").unlink()
    assert run_fg(config, tmp_path / "out") == 0
    assert ids(train) == list(range(50))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: write_config(data, more="bad_row_policy: DEFAULT"), "created with another config"),
        (lambda data: pq.write_table(table(3), data / "3.parquet"), "created from other files, or from files that"),
        (
            lambda data: os.utime(data / "0.parquet", (1, 1)),
            "created from other files, or from files that were modified",
        ),
    ],
)
def test_fg_rejects_a_directory_of_another_data_set(
    data: Path, tmp_path: Path, change: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(data)
    assert run_fg(config, tmp_path / "out") == 0
    change(data)
    assert run_fg(config, tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_fg_rejects_a_directory_of_another_version(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(data)
    assert run_fg(config, tmp_path / "out") == 0
    monkeypatch.setattr("tzrec.encoding.manifest.__version__", "99")
    assert run_fg(config, tmp_path / "out") == 2
    assert "created by tzrec " in capsys.readouterr().err


def test_fg_rejects_a_directory_encoded_without_ray(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ray splits the rows into other files: with both kinds of files rows would occur twice."""
    assert run_fg(write_config(data), tmp_path / "out") == 0
    assert run_fg(write_config(data), tmp_path / "out", "--ray") == 2
    assert "created without --ray; remove it" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--batch_size", "--processes"])
def test_fg_rejects_zero_rows_and_processes(
    data: Path, tmp_path: Path, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_fg(write_config(data), tmp_path / "out", flag, "0") == 2
    assert f"argument {flag}: '0' is not a whole number from 1 to 2147483647" in capsys.readouterr().err


def test_fg_rejects_a_locked_directory(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = Lock(tmp_path / "out" / "train")
    assert run_fg(write_config(data), tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "is being written by process" in error and "choose another --output_path" in error
    lock.release()
    assert run_fg(write_config(data), tmp_path / "out") == 0


def test_model_trained_on_encoded_rows_predicts_raw_rows(data: Path, tmp_path: Path) -> None:
    """With data_config.fg_mode edited, the model reads raw columns."""
    assert run_fg(write_config(data), tmp_path / "out", "--reserved_columns", "uid") == 0
    words = ["--pipeline_config", f"{tmp_path}/out/pipeline.config", "--model_dir", f"{tmp_path}/model"]
    assert train_eval.main(words) == 0
    scores = {}
    for mode, folder in (("FG_NONE", tmp_path / "out" / "train"), ("FG_DAG", data)):
        words = ["--pipeline_config", f"{tmp_path}/model/pipeline.config", "--reserved_columns", "uid"]
        words += ["--predict_input_path", f"{folder}/*.parquet", "--predict_output_path", f"{tmp_path}/{mode}"]
        assert predict_main([*words, "--edit_config_json", json.dumps({"data_config.fg_mode": mode})]) == 0
        scores[mode] = pq.read_table(tmp_path / mode)
    assert scores["FG_NONE"].num_rows == 50 and len(set(scores["FG_NONE"]["probs"].to_pylist())) > 10
    assert scores["FG_DAG"].equals(scores["FG_NONE"])


def test_fg_rejects_a_directory_with_other_files(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "train").mkdir(parents=True)
    (tmp_path / "out" / "train" / "x.parquet").write_text("")
    assert run_fg(write_config(data), tmp_path / "out") == 2
    assert "is not empty and has no _manifest.json" in capsys.readouterr().err


def write_bad_csv(folder: Path) -> str:
    """Write ids out of range, an invalid label, an invalid weight, and a line with too many cells."""
    folder.mkdir()
    (folder / "0.csv").write_text("uid,price,clk,w\n1,2.5,1,1\n2000,1,0,1\n3,1,yes,1\n4,,0,1\n")
    (folder / "1.csv").write_text("uid,price,clk,w\n5,1,1,1\n6,1,1,1,1\n-7,x,1,1\n8,1,1,-1\n")
    return write_config(folder, "csv", "bad_row_policy: DEFAULT")


def test_fg_counts_and_samples_bad_rows(tmp_path: Path) -> None:
    config = write_bad_csv(tmp_path / "data")
    assert run_fg(config, tmp_path / "out") == 0
    rows = pq.read_table(tmp_path / "out" / "train")
    assert rows["id"].to_pylist() == [[1], [], [4], [5], []]
    assert rows["cost"].to_pylist() == [2.5, 1.0, 1.0, 1.0, 1.0]
    assert rows.schema.field("clk").type == pa.int64()
    parts = manifest(tmp_path / "out" / "train")["parts"]
    assert [(part["rows_read"], part["rows"]) for part in parts] == [(4, 3), (3, 2)]
    assert {(bad["column"], bad["reason"]): bad["count"] for part in parts for bad in part["bad"]} == {
        ("uid", "out of range [0, 1000)"): 1,
        ("clk", "not an integer"): 1,
        ("price", "not a number"): 1,
        ("w", "not a weight"): 1,
        ("line", "wrong number of cells"): 1,
    }
    lines = (tmp_path / "out" / "train" / "_bad_rows.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {
        "file": f"{tmp_path}/data/0.csv",
        "row": 2,
        "column": "uid",
        "reason": "out of range [0, 1000)",
        "value": "2000",
    }
    assert len(lines) == 5


def test_fg_stops_at_the_first_bad_row_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bad_csv(tmp_path / "data")
    assert run_fg(write_config(tmp_path / "data", "csv"), tmp_path / "out") == 1
    assert f"{tmp_path}/data/0.csv, line 3: column \"uid\" has '2000'" in capsys.readouterr().err


def test_fg_encodes_csv_to_parquet(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    pacsv.write_csv(table(30), folder / "0.csv")
    assert run_fg(write_config(folder, "csv"), tmp_path / "out", "--reserved_columns", "uid") == 0
    rows = pq.read_table(tmp_path / "out" / "train")
    assert rows["uid"].to_pylist() == list(range(30)) and ids(tmp_path / "out" / "train") == list(range(30))


@pytest.mark.slow
def test_fg_killed_repeatedly_encodes_every_row_once(tmp_path: Path) -> None:
    folder, out = tmp_path / "data", tmp_path / "out"
    folder.mkdir()
    for number in range(30):
        pq.write_table(table(20, number * 20), folder / f"{number:02d}.parquet")
    words = ["-m", "tzrec.tools.fg_encode", "--pipeline_config", write_config(folder), "--output_path", str(out)]
    for _ in range(3):
        before = len(list(out.glob("train/*.parquet")))
        process = subprocess.Popen([sys.executable, *words, "--processes", "2"], cwd=ROOT, start_new_session=True)
        while process.poll() is None and len(list(out.glob("train/*.parquet"))) < before + 4:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, *words, "--processes", "1"], cwd=ROOT, check=True)
    assert ids(out / "train") == list(range(600))


def losses(config: str, edits: dict[str, Any]) -> list[dict[str, float]]:
    recorder = Recorder()
    train(load_checked(config, edits), listeners=[recorder])
    return recorder.losses


def assert_equal_losses(config: Path, tmp_path: Path, steps: int = 20, more: Sequence[str] = ()) -> None:
    """Train on raw and on encoded data, shuffled in every epoch, and compare the losses to the bit."""
    edits: dict[str, Any] = {
        "train_input_path": f"{tmp_path}/raw/*.parquet",
        "eval_input_path": "",
        "data_config.batch_size": 64,
        "data_config.shuffle": True,
        "data_config.shuffle_buffer_size": 2,
        "train_config.num_threads": 1,
    }
    make_data(load_config(str(config)), f"{tmp_path}/raw", rows=500, seed=5)
    assert run_fg(str(config), tmp_path / "out", "--edit_config_json", json.dumps(edits), *more) == 0
    short = {
        "train_config.num_steps": steps,
        "train_config.log_step_count_steps": 1,
        "train_config.use_tensorboard": False,
    }
    raw = losses(str(config), {**edits, **short, "model_dir": f"{tmp_path}/a"})
    encoded = losses(f"{tmp_path}/out/pipeline.config", {**short, "model_dir": f"{tmp_path}/b"})
    assert len(raw) == steps and len({str(step) for step in raw}) == steps
    assert encoded == raw


@pytest.mark.parametrize("mode", ["FG_NONE", pytest.param("FG_BUCKETIZE", marks=pytest.mark.slow)])
def test_training_on_encoded_data_gives_equal_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.chdir(ROOT)  # paths of the example are relative to it
    assert_equal_losses(ROOT / "examples" / "configs" / "mmoe_all_features.config", tmp_path, more=["--fg_mode", mode])


def test_example_config_has_every_type_of_feature() -> None:
    configs = load_config(str(ROOT / "examples" / "configs" / "mmoe_all_features.config")).feature_configs
    group = next(config.sequence_feature for config in configs if config.HasField("sequence_feature"))
    ungrouped = {config.WhichOneof("feature") for config in configs}
    types = {name for name in FeatureConfig.DESCRIPTOR.fields_by_name if not name.startswith("sequence_")}
    assert types - ungrouped == set() == types - {member.WhichOneof("feature") for member in group.features}
    assert {"sequence_id_feature", "sequence_raw_feature"} < ungrouped
    assert any(config.tokenize_feature.tokens_as_sequence for config in configs)


def test_fg_bucketize_output_can_be_encoded_to_ids(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_fg(write_config(data), tmp_path / "out", "--fg_mode", "FG_BUCKETIZE") == 0
    assert load_config(str(tmp_path / "out" / "pipeline.config")).data_config.fg_mode == data_pb2.FG_BUCKETIZE
    assert run_fg(write_config(data), tmp_path / "out") == 2
    assert "created with --fg_mode FG_BUCKETIZE; remove it" in capsys.readouterr().err
    bucketize_config = str(tmp_path / "out" / "pipeline.config")
    assert run_fg(bucketize_config, tmp_path / "ids") == 0
    assert ids(tmp_path / "ids" / "train") == list(range(50))
    assert run_fg(bucketize_config, tmp_path / "no", "--fg_mode", "FG_BUCKETIZE") == 2
    assert "FG_BUCKETIZE: the data is already encoded" in capsys.readouterr().err
