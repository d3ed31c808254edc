"""`tzrec fg`: every row once, whatever happens in between, and training on it is training on the raw rows."""

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
from tests.integration.record_losses import Recorder
from tzrec import train_eval
from tzrec.check import main as check_main
from tzrec.checkpoint.lock import Lock
from tzrec.config.check import load_checked
from tzrec.config.load import dump_config, load_config
from tzrec.data.synthetic import make_data
from tzrec.encoding import parts
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


def run_fg(config: str, out: Path, *more: str, processes: int = 1) -> int:
    words = ["--pipeline_config", config, "--output_path", str(out), "--processes", str(processes), *more]
    return fg_encode.main(words)


def ids(folder: Path) -> list[int]:
    """The ids of all rows, in the order in which training reads files."""
    tables = [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    return [row[0] for each in tables for row in each["id"].to_pylist()]


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "_manifest.json").read_text())


def test_every_row_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 10)
    out = tmp_path / "out"
    assert run_fg(write_config(data), out, "--batch_size", "3", "--reserved_columns", "uid") == 0
    assert ids(out / "train") == list(range(50))
    found = manifest(out / "train")
    assert [(part["first"], part["after"], part["rows"]) for part in found["parts"]] == [
        (0, 10, 10), (10, 20, 10), (20, None, 3), (0, None, 0), (0, 10, 10), (10, 20, 10), (20, None, 7),
    ]  # fmt: skip
    assert (found["rows"], found["complete"]) == (50, True)
    assert [each["size"] for each in found["inputs"]] == [
        path.stat().st_size for path in sorted(data.glob("*.parquet"))
    ]
    rows = pq.read_table(out / "train")  # a folder reads as one table, whatever else lies in it
    assert rows.column_names == ["id", "cost", "clk", "w", "uid"]
    np.testing.assert_array_equal(rows["uid"], np.arange(50))
    np.testing.assert_array_equal(rows["w"], np.arange(50) * 0.25)


@pytest.mark.slow
def test_two_processes(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_fg(write_config(data), tmp_path / "out", processes=2) == 0
    assert ids(tmp_path / "out" / "train") == list(range(50))
    write_bad_csv(tmp_path / "bad")  # an error of a worker process is reported as one of this process
    (tmp_path / "bad" / "1.csv").write_text("uid,price,clk,w\n5,1,1,1\n")
    assert run_fg(write_config(tmp_path / "bad", "csv"), tmp_path / "no", processes=2) == 1
    assert f"{tmp_path}/bad/0.csv, line 3: column \"uid\" has '2000'" in capsys.readouterr().err


def test_the_config_that_trains_on_it(data: Path, tmp_path: Path) -> None:
    config = write_config(data, more='input_fields_str: "uid:INT64"')
    assert run_fg(config, tmp_path / "out") == 0
    raw, made = load_config(config), load_config(str(tmp_path / "out" / "pipeline.config"))
    assert made.train_input_path == f"{tmp_path}/out/train/*.parquet" and made.eval_input_path == ""
    assert not made.feature_configs[1].raw_feature.HasField("fg_encoded_default_value")
    assert not made.data_config.with_header and not made.data_config.input_fields_str
    made.train_input_path, made.data_config.fg_mode = raw.train_input_path, raw.data_config.fg_mode
    made.data_config.with_header, made.data_config.input_fields_str = True, "uid:INT64"
    made.feature_configs[1].raw_feature.fg_encoded_default_value = "7"
    assert dump_config(made) == dump_config(raw)  # nothing else has changed
    assert check_main(["--pipeline_config", str(tmp_path / "out" / "pipeline.config")]) == 0


def test_one_path(data: Path, tmp_path: Path) -> None:
    assert run_fg(write_config(data), tmp_path / "out", "--input_path", f"{data}/0.parquet") == 0
    assert ids(tmp_path / "out" / "data") == list(range(23))
    made = load_config(str(tmp_path / "out" / "pipeline.config"))
    assert made.train_input_path == f"{tmp_path}/out/data/*.parquet"


def stop_before(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the run in the middle of a part, whose file is not complete."""

    def dying(encoder: Any, each: Any, directory: str, *more: Any) -> Any:
        if each.number == part:
            Path(directory, f".{each.name}.parquet.tmp").write_bytes(b"PAR1 half")
            raise KeyboardInterrupt
        return write_part(encoder, each, directory, *more)

    monkeypatch.setattr("tzrec.encoding.processes.write_part", dying)


def test_started_again(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 10)
    config, out = write_config(data), tmp_path / "out"
    with monkeypatch.context() as patch:
        stop_before(3, patch)
        assert run_fg(config, out) == 130
    train = out / "train"
    assert ids(train) == list(range(23)) and not manifest(train)["complete"]
    assert not (out / "pipeline.config").exists()
    before = {path.name: path.stat().st_mtime_ns for path in train.glob("*.parquet")}
    (train / "part-000001.parquet").write_bytes(b"PAR1 a broken disk")
    assert run_fg(config, out) == 0
    assert ids(train) == list(range(50)) and manifest(train)["complete"]
    after = {path.name: path.stat().st_mtime_ns for path in train.glob("*.parquet")}
    assert after["part-000000.parquet"] == before["part-000000.parquet"]  # not done again
    assert sorted(path.name for path in train.iterdir() if ".tmp" in path.name) == []
    assert run_fg(config, out) == 0  # nothing is left to do
    assert {path.name: path.stat().st_mtime_ns for path in train.glob("*.parquet")} == after


def test_parts_of_other_runs_do_not_count(data: Path, tmp_path: Path) -> None:
    config, train = write_config(data), tmp_path / "out" / "train"
    assert run_fg(config, tmp_path / "out") == 0
    assert run_fg(write_config(data, more="num_workers: 3"), tmp_path / "other") == 0
    pq.write_table(pq.read_table(train / "part-000000.parquet").slice(0, 2), train / "part-000000.parquet")
    foreign = tmp_path / "other" / "train" / "part-000002.parquet"
    (train / "part-000002.parquet").write_bytes(foreign.read_bytes())
    write_config(data)
    assert run_fg(config, tmp_path / "out") == 0
    assert ids(train) == list(range(50))
    assert (train / "part-000002.parquet").read_bytes() != foreign.read_bytes()


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
def test_another_data_set(
    data: Path, tmp_path: Path, change: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(data)
    assert run_fg(config, tmp_path / "out") == 0
    change(data)
    assert run_fg(config, tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_another_version(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(data)
    assert run_fg(config, tmp_path / "out") == 0
    monkeypatch.setattr("tzrec.encoding.manifest.__version__", "99")
    assert run_fg(config, tmp_path / "out") == 2
    assert "created by tzrec " in capsys.readouterr().err


def test_another_engine(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ray cuts the rows into other files: with those of both, rows would be there twice."""
    assert run_fg(write_config(data), tmp_path / "out") == 0
    assert run_fg(write_config(data), tmp_path / "out", "--ray") == 2
    assert "created without --ray; remove it" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--batch_size", "--processes"])
def test_numbers_that_make_no_sense(data: Path, tmp_path: Path, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_fg(write_config(data), tmp_path / "out", flag, "0") == 2
    assert f"argument {flag}: '0' is not a whole number above 0" in capsys.readouterr().err


def test_two_at_once(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = Lock(tmp_path / "out" / "train")
    assert run_fg(write_config(data), tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "is being written by process" in error and "choose another --output_path" in error
    lock.release()
    assert run_fg(write_config(data), tmp_path / "out") == 0


def test_raw_rows_are_scored_by_what_encoded_ones_have_trained(data: Path, tmp_path: Path) -> None:
    """One edit of the saved config, and the model reads raw columns."""
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


def test_other_files_are_in_the_way(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out" / "train").mkdir(parents=True)
    (tmp_path / "out" / "train" / "x.parquet").write_text("")
    assert run_fg(write_config(data), tmp_path / "out") == 2
    assert "is not empty and has no _manifest.json" in capsys.readouterr().err


def write_bad_csv(folder: Path) -> str:
    """Ids out of range, a label and a weight that are none, and a line with a cell too many."""
    folder.mkdir()
    (folder / "0.csv").write_text("uid,price,clk,w\n1,2.5,1,1\n2000,1,0,1\n3,1,yes,1\n4,,0,1\n")
    (folder / "1.csv").write_text("uid,price,clk,w\n5,1,1,1\n6,1,1,1,1\n-7,x,1,1\n8,1,1,-1\n")
    return write_config(folder, "csv", "bad_row_policy: DEFAULT")


def test_bad_rows_are_counted(tmp_path: Path) -> None:
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


def test_the_first_bad_row_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bad_csv(tmp_path / "data")
    assert run_fg(write_config(tmp_path / "data", "csv"), tmp_path / "out") == 1
    assert f"{tmp_path}/data/0.csv, line 3: column \"uid\" has '2000'" in capsys.readouterr().err


def test_csv_is_parquet_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    pacsv.write_csv(table(30), folder / "0.csv")
    assert run_fg(write_config(folder, "csv"), tmp_path / "out", "--reserved_columns", "uid") == 0
    rows = pq.read_table(tmp_path / "out" / "train")
    assert rows["uid"].to_pylist() == list(range(30)) and ids(tmp_path / "out" / "train") == list(range(30))


@pytest.mark.slow
def test_killed(tmp_path: Path) -> None:
    """Killed as hard as can be, again and again, at whatever moment."""
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


def same_losses(config: Path, tmp_path: Path, steps: int = 20, more: Sequence[str] = ()) -> None:
    """Train on raw and on encoded data, with another shuffle in each pass, and compare to the bit."""
    edits: dict[str, Any] = {
        "train_input_path": f"{tmp_path}/raw/*.parquet",
        "eval_input_path": "",
        "data_config.batch_size": 64,
        "data_config.shuffle": True,
        "data_config.shuffle_buffer_size": 2,
        "train_config.num_threads": 1,
        "train_config.cpu_matmul": "MATMUL_DEFAULT",  # or two runs on a busy machine may measure other speeds
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
    assert len(raw) == steps and len({str(each) for each in raw}) == steps
    assert encoded == raw


@pytest.mark.parametrize("mode", ["FG_NONE", pytest.param("FG_BUCKETIZE", marks=pytest.mark.slow)])
def test_same_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.chdir(ROOT)  # where the example finds its files
    same_losses(ROOT / "examples" / "configs" / "mmoe_all_features.config", tmp_path, more=["--fg_mode", mode])


def test_the_example_has_every_kind_of_feature() -> None:
    configs = load_config(str(ROOT / "examples" / "configs" / "mmoe_all_features.config")).feature_configs
    group = next(each.sequence_feature for each in configs if each.HasField("sequence_feature"))
    alone = {each.WhichOneof("feature") for each in configs}
    every = {name for name in FeatureConfig.DESCRIPTOR.fields_by_name if not name.startswith("sequence_")}
    assert every - alone == set() == every - {each.WhichOneof("feature") for each in group.features}
    assert {"sequence_id_feature", "sequence_raw_feature"} < alone
    assert any(each.tokenize_feature.tokens_as_sequence for each in configs)


def test_another_mode(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_fg(write_config(data), tmp_path / "out", "--fg_mode", "FG_BUCKETIZE") == 0
    assert load_config(str(tmp_path / "out" / "pipeline.config")).data_config.fg_mode == data_pb2.FG_BUCKETIZE
    assert run_fg(write_config(data), tmp_path / "out") == 2
    assert "created with --fg_mode FG_BUCKETIZE; remove it" in capsys.readouterr().err
    again = str(tmp_path / "out" / "pipeline.config")  # ids are made of what was written
    assert run_fg(again, tmp_path / "ids") == 0
    assert ids(tmp_path / "ids" / "train") == list(range(50))
    assert run_fg(again, tmp_path / "no", "--fg_mode", "FG_BUCKETIZE") == 2
    assert "FG_BUCKETIZE: this data is encoded already" in capsys.readouterr().err
