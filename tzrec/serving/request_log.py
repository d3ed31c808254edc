"""Log of requests: the raw columns that were scored and the scores that were returned, exactly.

A file is a stream of Arrow IPC with one row for each request. Requests differ in their columns, so each of the tables
of a request is an Arrow stream of its own in a binary cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from tzrec.errors import DataError, UsageError, first_line
from tzrec.log import logger
from tzrec.storage.path import AnyPath

PREFIX, SUFFIX = "requests-", ".arrow"
"""Of the names of the files; the times between them give their order."""
_VERSION = b"1"
_KEY = b"tzrec.request_log"
SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", "UTC")),
        ("id", pa.string()),
        ("model", pa.string()),
        ("version", pa.string()),
        ("user", pa.binary()),
        ("rows", pa.binary()),
        ("scores", pa.binary()),
    ],
    {_KEY: _VERSION},
)


@dataclass(frozen=True)
class LoggedRequest:
    """A request and its answer.

    Attributes:
        time: when it was answered, microseconds since 1970.
        id: that the client gave; "" without one.
        model: name of the model.
        version: that answered.
        user: one row of raw columns that all rows have; None if `rows` has all columns.
        rows: raw columns, B rows.
        scores: outputs of the model, B rows.
    """

    time: int
    id: str
    model: str
    version: str
    user: pa.Table | None
    rows: pa.Table
    scores: pa.Table

    @property
    def nbytes(self) -> int:
        """Bytes of its tables."""
        return sum(table.nbytes for table in (self.user, self.rows, self.scores) if table is not None)


class RequestLogFile:
    """File of a log that is being written.

    Args:
        stream: is written from its position on, and closed with the file.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))
        self._writer = pa.ipc.new_stream(pa.PythonFile(stream, "w"), SCHEMA, options=options)

    @property
    def num_bytes(self) -> int:
        """Bytes that have been written."""
        return self._stream.tell()

    def write(self, requests: Sequence[LoggedRequest]) -> None:
        """Append requests.

        Raises:
            OSError: the disk is full, for example; the file then ends within these requests.
        """
        columns = {
            "time": [request.time for request in requests],
            "id": [request.id for request in requests],
            "model": [request.model for request in requests],
            "version": [request.version for request in requests],
            "user": [None if request.user is None else _to_bytes(request.user) for request in requests],
            "rows": [_to_bytes(request.rows) for request in requests],
            "scores": [_to_bytes(request.scores) for request in requests],
        }
        arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
        self._stream.flush()

    def close(self) -> None:
        """Write the end.

        Raises:
            OSError: see `write`.
        """
        try:
            self._writer.close()
        finally:
            self._stream.close()


def log_files(path: AnyPath) -> list[AnyPath]:
    """List the files of a log in their order; a file is a log of one.

    Raises:
        UsageError: there are none.
    """
    if path.is_dir():
        entries = [entry for entry in path.iterdir() if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX)]
        if not entries:
            raise UsageError(f"{path} has no file {PREFIX}*{SUFFIX}; give request_log.directory of the server's config")
        return sorted(entries, key=lambda entry: entry.name)
    if not path.exists():
        raise UsageError(
            f"{path} does not exist; give request_log.directory of the server's config, or one of its files"
        )
    return [path]


def read_requests(files: Iterable[AnyPath]) -> Iterator[LoggedRequest]:
    """Yield the requests of files of a log; one that ends early, as that of a server which runs, is read up to there.

    Raises:
        DataError: a file is not of a log, or that of a newer version.
    """
    for path in files:
        with path.open("rb") as stream:
            yield from _read_file(path, stream)


def _read_file(path: AnyPath, stream: BinaryIO) -> Iterator[LoggedRequest]:
    try:
        reader = pa.ipc.open_stream(stream)
    except pa.ArrowInvalid as error:
        if stream.tell() == 0:
            return  # of a server that has not answered a request yet
        raise DataError(f"{path} is not a log of requests: {first_line(error)}") from None
    version = (reader.schema.metadata or {}).get(_KEY)
    if version != _VERSION:
        received = "no version" if version is None else f"version {version.decode(errors='replace')}"
        raise DataError(f"{path} is a log of requests with {received}, not {_VERSION.decode()}; upgrade tzrec")
    num_requests = 0
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            logger.warning("%s ends within a request, after %d: %s", path, num_requests, first_line(error))
            return
        for row in batch.to_pylist():
            tables = {name: None if row[name] is None else _to_table(row[name]) for name in ("user", "rows", "scores")}
            time = row["time"].timestamp()
            yield LoggedRequest(round(time * 1e6), row["id"], row["model"], row["version"], **tables)
            num_requests += 1


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _to_table(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
