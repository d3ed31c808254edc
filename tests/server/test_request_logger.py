from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from tests.fixtures.small_disk import small_disk
from tzrec.errors import UsageError
from tzrec.protos.observation_pb2 import RequestLog
from tzrec.server.request_logger import RequestLogger
from tzrec.serving.request_log import log_files, read_requests

ROWS, SCORES = pa.table({"a": list(range(100))}), pa.table({"probs": [0.5] * 100})


def log(logger: RequestLogger, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        logger.log(str(number), "m", "1", None, ROWS, SCORES)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fill(disk: Path) -> None:
    """Write a file until the disk is full."""
    with (disk / "blob").open("wb", buffering=0) as blob, suppress(OSError):
        while True:
            blob.write(b"x" * 1024)


def counts(registry: CollectorRegistry) -> tuple[float | None, float | None]:
    name = "tzrec_logged_requests_total"
    written, dropped = (registry.get_sample_value(name, {"result": result}) for result in ("written", "dropped"))
    return written, dropped


def test_logger_begins_files_of_limited_size_and_deletes_the_oldest(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    config = RequestLog(directory=str(tmp_path / "log"), max_file_bytes=1024, max_files=2)
    logger = RequestLogger(config, registry)
    for number in range(4):
        log(logger, 3, 3 * number)
        wait_for(lambda: counts(registry)[0] == 3 * (number + 1))  # noqa: B023
    logger.close()
    files = log_files(tmp_path / "log")
    assert len(files) == 2 and all(path.stat().st_size > 1024 for path in files)
    assert [request.id for request in read_requests(files)] == [str(number) for number in range(6, 12)]


def test_logger_appends_to_a_file_below_its_limit(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    logger = RequestLogger(RequestLog(directory=str(tmp_path)), registry)
    for number in range(2):
        log(logger, 5, 5 * number)
        wait_for(lambda: counts(registry)[0] == 5 * (number + 1))  # noqa: B023
    logger.close()
    assert len(log_files(tmp_path)) == 1
    assert len(list(read_requests(log_files(tmp_path)))) == 10


@pytest.mark.parametrize(("rate", "least", "most"), [(0.0, 0, 0), (1.0, 2000, 2000), (0.1, 120, 280)])
def test_logger_samples_a_share(tmp_path: Path, rate: float, least: int, most: int) -> None:
    logger = RequestLogger(RequestLog(directory=str(tmp_path), sampling_rate=rate), CollectorRegistry())
    assert least <= sum(logger.is_sampled() for _ in range(2000)) <= most
    logger.close()


def test_logger_on_a_full_disk_drops_requests_and_keeps_those_before(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "300k") as disk:
        registry = CollectorRegistry()
        logger = RequestLogger(RequestLog(directory=str(disk)), registry)
        log(logger, 5)
        wait_for(lambda: counts(registry)[0] == 5)
        fill(disk)
        log(logger, 400, 5)
        wait_for(lambda: counts(registry)[1] == 400)
        start = time.monotonic()
        log(logger, 100, 405)
        assert time.monotonic() - start < 1 and counts(registry) == (5, 500)
        logger.close()
        assert [request.id for request in read_requests(log_files(disk))][:5] == ["0", "1", "2", "3", "4"]


def test_logger_without_a_directory_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"request_log.directory .*/file/log: Not a directory; choose another one"):
        RequestLogger(RequestLog(directory=str(tmp_path / "file" / "log")), CollectorRegistry())
