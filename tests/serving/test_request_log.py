from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.small_model import small_rows
from tzrec.errors import DataError, UsageError
from tzrec.serving.request_log import SCHEMA, LoggedRequest, RequestLogFile, log_files, read_requests

ODD = pa.table(
    {
        "text": ["", None, "\x00\n", "\U0001f600 \x1d"],
        "number": pa.array([0.1, float("nan"), -0.0, 1e-310]),
        "nothing": pa.nulls(4),
        "lists": pa.array([[1, None], [], None, [2**62]], pa.list_(pa.int64())),
    }
)


def logged(rows: pa.Table, user: pa.Table | None = None, number: int = 0) -> LoggedRequest:
    scores = pa.table({"probs": np.linspace(0, 1, rows.num_rows, dtype=np.float32)})
    return LoggedRequest(1_764_417_600_000_001 + number, f"id {number}", "m", "3", user, rows, scores)


def write(path: Path, *groups: list[LoggedRequest]) -> None:
    file = RequestLogFile(path.open("xb", buffering=0))  # type: ignore[arg-type]
    for group in groups:
        file.write(group)
    file.close()


def bits(table: pa.Table) -> list[bytes]:
    """All buffers of a table, which are equal only if each bit is."""
    return [repr(table.schema).encode(), *(repr(column.to_pylist()).encode() for column in table.columns)]


def test_log_returns_requests_as_they_were_written(tmp_path: Path) -> None:
    user = pa.table({"user": ["u"]})
    requests = [logged(ODD), logged(small_rows(7), user, 1), logged(small_rows(200).slice(50, 20), number=2)]
    write(tmp_path / "requests-1.arrow", requests[:1], requests[1:])
    read = list(read_requests(log_files(tmp_path)))
    assert len(read) == 3
    for one, two in zip(requests, read, strict=True):
        assert (one.time, one.id, one.model, one.version) == (two.time, two.id, two.model, two.version)
        assert bits(one.rows) == bits(two.rows) and bits(one.scores) == bits(two.scores)
    assert read[0].user is None and read[1].user is not None and read[1].user.equals(user)


def test_log_files_are_in_their_order(tmp_path: Path) -> None:
    for name in ("requests-2.arrow", "requests-1.arrow", "other.arrow"):
        (tmp_path / name).touch()
    assert [path.name for path in log_files(tmp_path)] == ["requests-1.arrow", "requests-2.arrow"]
    assert log_files(tmp_path / "other.arrow") == [tmp_path / "other.arrow"]


def test_log_files_without_any_raises(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no file requests-\*.arrow; give request_log.directory"):
        log_files(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        log_files(tmp_path / "a")


def test_file_that_ends_early_is_read_up_to_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "requests-1.arrow"
    write(path, [logged(small_rows(7))], [logged(small_rows(9), number=1)], [logged(small_rows(5), number=2)])
    whole = path.read_bytes()
    counts = set()
    for size in (*range(0, len(whole), 97), len(whole) - 8):
        path.write_bytes(whole[:size])
        if size >= 1000:  # the schema is complete
            read = list(read_requests([path]))
            assert [request.rows.num_rows for request in read] == [7, 9, 5][: len(read)]
            counts.add(len(read))
    assert counts == {0, 1, 2, 3}
    path.write_bytes(b"")
    assert list(read_requests([path])) == []


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    path.write_bytes(b"PAR1 is another format")
    with pytest.raises(DataError, match=f"{path} is not a log of requests"):
        list(read_requests([path]))
    for metadata, message in ((None, "with no version"), ({b"tzrec.request_log": b"2"}, "with version 2, not 1")):
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, SCHEMA.with_metadata(metadata)):
            pass
        path.write_bytes(sink.getvalue())
        with pytest.raises(DataError, match=message):
            list(read_requests([path]))
