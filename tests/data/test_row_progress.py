"""Lines of commands that read all rows of a table once: plain ones, on a terminal one that moves, or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.parts.test_part import reader_of
from tests.fixtures.log_lines import recorded_log
from tests.run.test_progress import Screen
from tzrec import cli
from tzrec.data.reader import open_reader
from tzrec.data.row_progress import ReadProgress
from tzrec.protos import data_pb2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("tzrec.data.row_progress.time.perf_counter", lambda: now[0])
    return now


def test_read_progress_logs_a_line_after_three_seconds_and_every_ten(tmp_path: Path, clock: list[float]) -> None:
    reader = reader_of(tmp_path, [10, 20, 10])
    with recorded_log() as lines:
        for piece in ReadProgress("init", reader).watch(reader.read(piece_rows=5)):
            assert piece.batch.num_rows == 5
            clock[0] += 2.0
    assert lines == [
        "init   10 rows  25 %|##5       | 2 rows/s  eta 0:12",
        "init   35 rows  87 %|########7 | 2 rows/s  eta 0:02",
    ]


def test_read_progress_on_terminal_draws_a_line_and_erases_it(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Erased(Screen):
        def erase(self) -> None:
            self.drawn.append("")

    screen = Erased()
    monkeypatch.setattr("tzrec.data.row_progress.live_line", screen)
    reader = reader_of(tmp_path, [30])
    with recorded_log() as lines:
        for _ in ReadProgress("suggest", reader).watch(reader.read(piece_rows=10)):
            clock[0] += 0.15
    assert screen.drawn == ["suggest 20 rows  66 %|######6   | 67 rows/s  eta 0:00", ""], "drawn each 0.2 s"
    assert lines == []


def test_read_progress_of_text_follows_the_bytes(tmp_path: Path, clock: list[float]) -> None:
    (tmp_path / "a.csv").write_text("a\n" + "1234567890\n" * 300_000)
    config = data_pb2.DataConfig(dataset_type=data_pb2.CsvDataset, delimiter=",", with_header=True)
    reader = open_reader(config, str(tmp_path / "a.csv"))
    progress = ReadProgress("init", reader)
    assert progress.share is None, "nothing was read"
    shares = []
    with recorded_log():
        for _ in progress.watch(reader.read()):
            shares.append(progress.share)
    assert shares[0] == 0.0 and shares == sorted(shares)
    assert progress.share == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("command", ["init", "suggest", "index"])
@pytest.mark.parametrize("is_quiet", [False, True])
def test_command_that_reads_long_has_lines_unless_quiet(
    command: str, is_quiet: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tzrec.data.row_progress._FIRST_LINE_S", -1.0)
    rows = np.arange(60)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.repeat(4), pa.float32()), 4)
    table = pa.table({"item": rows, "price": rows / 7, "clk": rows % 2, "vector": vectors})
    pq.write_table(table.drop_columns(["vector"]) if command != "index" else table, tmp_path / "a.parquet")
    (tmp_path / "a.config").write_text(
        f'train_input_path: "{tmp_path}/a.parquet" data_config {{ label_fields: "clk" }} '
        'feature_configs { raw_feature { feature_name: "price" expression: "item:price" } }'
    )
    data = [f"--train_input_path={tmp_path}/a.parquet", "--label_fields=clk"]
    items = [f"--item_input_path={tmp_path}/a.parquet", "--id_field=item", "--embedding_field=vector"]
    words = {
        "init": data,
        "suggest": [f"--pipeline_config={tmp_path}/a.config"],
        "index": [*items, f"--index_output_dir={tmp_path}/out", "--index_type=ExactIP"],
    }[command]
    assert cli.main([command, *words, *(["--quiet"] if is_quiet else [])]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "60 rows  100 %" in line]
    assert len(lines) == (0 if is_quiet else 1)
    assert all(line.startswith(command) for line in lines)
