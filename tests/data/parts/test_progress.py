from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.parts.test_part import reader_of
from tests.fixtures.log_lines import recorded_log
from tzrec.data.parts import progress as module
from tzrec.data.parts.part import split_into_parts
from tzrec.data.parts.progress import PartProgress


def test_advance_logs_the_share_of_the_rows_of_the_parts_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    progress = PartProgress("predict")
    progress.start(split_into_parts(reader_of(tmp_path, [6, 3, 1])))
    with recorded_log() as lines:
        progress.begin(0)
        clock[0] = 109.0
        progress.advance(1)
        clock[0] = 110.0
        progress.advance(4)
        progress.begin(1)
        clock[0] = 115.0
        progress.advance(1)
        clock[0] = 130.0
        progress.advance(1)
    assert lines == [
        "predict 0 of 3 parts (0%), 5 rows, 0/s",
        "predict 1 of 3 parts (60%), 7 rows, 0/s, 0:20 left",
    ]
