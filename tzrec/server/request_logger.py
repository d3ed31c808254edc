"""RequestLogger: the log of requests of a server, in files of limited size."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
from prometheus_client import CollectorRegistry, Counter

from tzrec.errors import UsageError
from tzrec.protos.observation_pb2 import RequestLog
from tzrec.server.background_writer import BackgroundWriter
from tzrec.serving.request_log import PREFIX, SUFFIX, LoggedRequest, RequestLogFile, log_files


class RequestLogger:
    """Writes requests to files, which `tzrec.serving.request_log` reads.

    Args:
        config: of the log.
        registry: for the metrics of the log.

    Raises:
        UsageError: the directory cannot be created.
    """

    def __init__(self, config: RequestLog, registry: CollectorRegistry) -> None:
        self._config, self._directory = config, Path(config.directory)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"request_log.directory {config.directory}: {error.strerror}; choose another one"
            ) from None
        name, text = "tzrec_logged_requests", "Requests that were written to the log, or dropped"
        counter = Counter(name, text, ["result"], registry=registry)
        self._num_written, num_dropped = counter.labels("written"), counter.labels("dropped")
        self._random = random.Random()
        self._file: RequestLogFile | None = None
        self._writer: BackgroundWriter[LoggedRequest] = BackgroundWriter(
            f"the log of requests in {config.directory}", self._write, config.max_waiting_bytes, num_dropped.inc
        )

    def is_sampled(self) -> bool:
        """Draw one request: true if it is to be logged."""
        return self._random.random() < self._config.sampling_rate

    def log(
        self, request_id: str, model: str, version: str, user: pa.Table | None, rows: pa.Table, scores: pa.Table
    ) -> None:
        """Queue a request and its answer; see `LoggedRequest`."""
        request = LoggedRequest(time.time_ns() // 1000, request_id, model, version, user, rows, scores)
        self._writer.put(request, request.nbytes)

    def close(self) -> None:
        """Write what waits and end the file."""
        self._writer.close()
        if self._file is not None:
            with suppress(OSError):  # the disk is full: the requests before are there
                self._file.close()

    def _write(self, requests: list[LoggedRequest]) -> None:
        if self._file is not None and self._file.num_bytes >= self._config.max_file_bytes:
            file, self._file = self._file, None
            file.close()
        if self._file is None:
            self._file = self._new_file()
        try:
            self._file.write(requests)
        except BaseException:  # it ends within a request: go on in another one
            file, self._file = self._file, None
            with suppress(OSError, pa.ArrowException):
                file.close()
            raise
        self._num_written.inc(len(requests))

    def _new_file(self) -> RequestLogFile:
        """Begin a file, and delete the oldest ones."""
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
        stream = (self._directory / f"{PREFIX}{now}{SUFFIX}").open("xb", buffering=0)
        for path in log_files(self._directory)[: -self._config.max_files]:
            cast(Path, path).unlink(missing_ok=True)
        return RequestLogFile(cast(BinaryIO, stream))
