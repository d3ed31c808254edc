"""Batch prediction: parts, restart, and where nothing can be renamed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.log_lines import recorded_log
from tests.fixtures.small_disk import small_disk
from tests.fixtures.small_model import saved_model, small_rows
from tzrec.config.load import load_config
from tzrec.data.parts import part
from tzrec.errors import UsageError
from tzrec.predict import main
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.predict import PredictOptions, predict
from tzrec.run.session import Session
from tzrec.serving.part_scorer import PartScorer

ROOT = Path(__file__).parents[2]
ROWS = 120
WITH_IDS = PredictOptions(reserved_columns=("row",))


def saved_config() -> EasyRecConfig:
    return load_config(str(saved_model() / "pipeline.config"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """120 rows with ids in three files, cut at the row groups of 10 rows into parts of 20 to 29 rows."""
    monkeypatch.setattr(part, "MIN_ROWS", 20)
    folder = tmp_path / "data"
    folder.mkdir()
    for name, first, stop in (("a", 0, 65), ("b", 65, 65), ("c", 65, ROWS)):
        pq.write_table(small_rows(ROWS).slice(first, stop - first), folder / f"{name}.parquet", row_group_size=10)
    return folder


def run(data: Path, out: Path | str, options: PredictOptions = WITH_IDS, config: EasyRecConfig | None = None) -> int:
    return predict(config or saved_config(), f"{data}/*.parquet", str(out), options=options)


def scores(out: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(out.glob("part-*"))])


def killed_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next prediction end in the middle of a part, with half a file, as by a kill."""
    write = PartScorer._write_part
    done = iter(range(parts))

    def interrupted(self: PartScorer, batches: Iterator[Any]) -> Any:
        if next(done, None) is None:
            Path(self._directory, ".part-000003-a-row-60.parquet.tmp").write_bytes(b"PAR1 half")
            raise KeyboardInterrupt
        return write(self, batches)

    monkeypatch.setattr(PartScorer, "_write_part", interrupted)


def test_predict_writes_a_file_per_part_named_by_its_origin(data: Path, tmp_path: Path) -> None:
    assert run(data, tmp_path / "out") == ROWS
    assert {path.name: pq.read_metadata(path).num_rows for path in sorted((tmp_path / "out").glob("part-*"))} == {
        "part-000000-a-row-0.parquet": 20,
        "part-000001-a-row-20.parquet": 20,
        "part-000002-a-row-40.parquet": 20,
        "part-000003-a-row-60.parquet": 5,
        "part-000004-b.parquet": 0,
        "part-000005-c-row-0.parquet": 20,
        "part-000006-c-row-20.parquet": 20,
        "part-000007-c-row-40.parquet": 15,
    }
    assert scores(tmp_path / "out")["row"].to_pylist() == list(range(ROWS))  # schemas are equal, also without rows
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"_SUCCESS", "_manifest.json"}
    assert pq.read_table(tmp_path / "out").num_rows == ROWS  # other files of the directory are ignored


@pytest.mark.parametrize("parts", [0, 1, 4])
def test_predict_after_a_kill_scores_only_the_missing_parts(
    data: Path, tmp_path: Path, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(data, tmp_path / "calm")
    with monkeypatch.context() as patch:
        killed_after(parts, patch)
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out.partial").glob("part-*")}
    assert len(before) == parts
    other_threads = saved_config()
    other_threads.data_config.num_workers, other_threads.data_config.batch_size = 1, 3
    with recorded_log() as lines:
        assert run(data, tmp_path / "out", config=other_threads) == ROWS
    assert (f"predict {parts} of 8 parts are already finished" in lines) == (parts > 0)
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    assert {name: after[name] for name in before} == before
    assert sorted(after) == sorted(path.name for path in (tmp_path / "calm").glob("part-*"))
    assert not list((tmp_path / "out").glob(".*"))
    calm, out = scores(tmp_path / "calm"), scores(tmp_path / "out")
    assert out["row"].equals(calm["row"])
    for name in ("probs_ctr", "y_ltv"):
        assert out[name].to_pylist() == pytest.approx(calm[name].to_pylist(), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("input", "from other files, or from files that were modified since"),
        ("weights", "with another package or checkpoint"),
        ("config", "with another config"),
        ("reserved", "with --reserved_columns ['row']"),
        ("limit", "with another --predict_steps, --batch_size or number of ranks"),
    ],
)
def test_predict_with_another_input_model_or_option_starts_afresh_and_says_so(
    data: Path, tmp_path: Path, change: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        killed_after(3, patch)
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "out")
    options, config = WITH_IDS, saved_config()
    if change == "input":
        os.utime(data / "a.parquet", (1, 1))
    elif change == "weights":
        load = Session._load_checkpoint

        def load_other(self: Session, *arguments: Any) -> None:
            load(self, *arguments)
            self.weights_digest = "other"

        monkeypatch.setattr(Session, "_load_checkpoint", load_other)
    elif change == "config":
        config.data_config.bad_row_policy = data_pb2.DEFAULT
    elif change == "reserved":
        options = PredictOptions(reserved_columns=("row", "user"))
    else:
        options = PredictOptions(reserved_columns=("row",), num_batches=1, batch_size=50)
    with recorded_log() as lines:
        num_rows = run(data, tmp_path / "out", options, config)
    early = f"predict {tmp_path}/out.partial: parts of a prediction that ended early were created"
    assert f"{early} {text}; starting afresh" in lines
    assert num_rows == (50 if change == "limit" else ROWS)
    assert scores(tmp_path / "out")["row"].to_pylist() == list(range(num_rows))


def test_predict_writes_in_place_where_nothing_can_be_renamed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, store = "memory://batch-predict/out", fsspec.filesystem("memory")
    with monkeypatch.context() as patch:
        failed_after(2, patch)
        with pytest.raises(OSError, match="No space"):
            run(data, out)
    names = {Path(name).name for name in store.ls("/batch-predict/out", detail=False)}
    assert "_SUCCESS" not in names and len([name for name in names if name.startswith("part-")]) == 2
    assert run(data, out) == ROWS
    names = {Path(name).name for name in store.ls("/batch-predict/out", detail=False)}
    assert {"_SUCCESS", "_manifest.json"} < names and "_done" not in names
    assert len([name for name in names if name.startswith("part-")]) == 8
    with pytest.raises(UsageError, match=f"{out} is not empty; remove it or choose another one"):
        run(data, out)
    store.rm("/batch-predict", recursive=True)


def test_predict_on_full_disk_names_flag_file_and_cure(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", "40k") as disk:
        paths = ["--predict_input_path", f"{data}/*.parquet", "--predict_output_path", f"{disk}/out"]
        words = ["--pipeline_config", str(saved_model() / "pipeline.config"), "--reserved_columns", "row", *paths]
        assert main(words) == 1
        name = rf"{disk}/out\.partial/[\w./-]+"
        cure = "free some space there, then run the same command again"
        error = capfd.readouterr().err
        assert re.search(f"--predict_output_path {disk}/out: {name}: No space left on device; {cure}", error), error
        assert not list(disk.rglob(".*"))
        subprocess.run(["mount", "-o", "remount,size=4M", str(disk)], check=True)
        assert main(words) == 0
        assert scores(disk / "out")["row"].to_pylist() == list(range(ROWS))


def failed_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next prediction fail after some parts, as on a full disk."""
    write = PartScorer._write_part
    done = iter(range(parts))

    def full(self: PartScorer, batches: Iterator[Any]) -> Any:
        if next(done, None) is None:
            raise OSError(28, "No space left on device")
        return write(self, batches)

    monkeypatch.setattr(PartScorer, "_write_part", full)


def start(command: list[str], ranks: int, log: Path) -> subprocess.Popen[bytes]:
    launcher = [sys.executable, "-m"]
    if ranks > 1:
        launcher += ["torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*launcher, "tzrec", *command], cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )


@pytest.mark.slow
def test_predict_killed_repeatedly_on_changing_numbers_of_ranks_scores_every_row_once(tmp_path: Path) -> None:
    """Killed at random parts, by SIGKILL of all processes: rows, ids and scores are those of an uninterrupted run."""
    folder, out, log = tmp_path / "data", tmp_path / "out", tmp_path / "log"
    folder.mkdir()
    random = np.random.default_rng(7)
    first = 0
    rows = small_rows(6000)
    for number in range(24):
        size = int(random.integers(1, 400))
        pq.write_table(rows.slice(first, size), folder / f"{number:02d}.parquet")
        first += size
    command = ["predict", "--pipeline_config", str(saved_model() / "pipeline.config"), "--batch_size", "16"]
    command += ["--reserved_columns", "row", "--predict_input_path", f"{folder}/*.parquet"]
    for ranks in (1, 2, 3):
        before = len(list((tmp_path / "out.partial").glob("part-*")))
        goal = before + int(random.integers(2, 6))
        process = start([*command, "--predict_output_path", str(out)], ranks, log)
        end = time.monotonic() + 200
        while process.poll() is None and len(list((tmp_path / "out.partial").glob("part-*"))) < goal:
            assert time.monotonic() < end
            time.sleep(0.005)
        assert process.returncode is None, log.read_text()[-2000:]
        stop_all(process)
    for ranks, path in ((2, out), (1, tmp_path / "calm")):
        assert start([*command, "--predict_output_path", str(path)], ranks, log).wait(300) == 0, log.read_text()[-2000:]
    found, calm = scores(out), scores(tmp_path / "calm")
    assert found["row"].to_pylist() == list(range(first))
    assert found.equals(calm)


def stop_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all of its descendants: the ranks of torchrun are in sessions of their own."""
    processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=20)
    process.wait()
