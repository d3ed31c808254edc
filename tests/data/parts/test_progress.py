from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.parts.test_part import reader_of
from tests.fixtures.log_lines import recorded_log
from tzrec.data.parts.part import split_into_parts
from tzrec.data.parts.progress import PartProgress
from tzrec.data.reader import open_reader
from tzrec.protos import data_pb2


def test_advance_logs_the_share_of_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("tzrec.data.row_progress.time.perf_counter", lambda: clock[0])
    progress = PartProgress("predict")
    progress.start(split_into_parts(reader_of(tmp_path, [6, 3, 1])))
    with recorded_log() as lines:
        progress.begin(0)
        clock[0] = 102.0
        progress.advance(1)
        clock[0] = 104.0
        progress.advance(2)
        progress.advance(3)
        progress.begin(1)
        clock[0] = 113.0
        progress.advance(1)
        clock[0] = 124.0
        progress.advance(1)
    assert lines == [
        "predict 3 rows  part 1/3  30 %|###       | 1 rows/s  eta 0:09",
        "predict 8 rows  part 2/3  80 %|########  | 0 rows/s  eta 0:06",
    ]


def test_share_of_text_without_index_follows_the_bytes_that_were_read(tmp_path: Path) -> None:
    for number, rows in enumerate((200_000, 100_000)):
        (tmp_path / f"{number}.csv").write_text("a\n" + "1234567890\n" * rows)
    config = data_pb2.DataConfig(dataset_type=data_pb2.CsvDataset, delimiter=",", with_header=True)
    reader = open_reader(config, str(tmp_path / "*.csv"))
    parts = split_into_parts(reader)
    assert [part.estimate_rows() for part in parts] == [None, None]
    progress = PartProgress("predict")
    progress.start(parts)
    progress.begin(0)
    pieces = parts[0].pieces(20_000)
    with recorded_log():
        progress.advance(next(pieces).batch.num_rows)
    assert parts[0].estimate_rows() == pytest.approx(200_000, rel=0.01)
    assert progress.share == pytest.approx(2 / 3 * 0.1, rel=0.01)
