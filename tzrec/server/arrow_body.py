"""Bodies of requests and answers in the stream format of Arrow."""

from __future__ import annotations

import pyarrow as pa

from tzrec.server.errors import RequestError

ARROW = "application/vnd.apache.arrow.stream"


def read_arrow(body: bytes) -> pa.Table:
    """Read a table.

    Raises:
        RequestError: the body is no such stream.
    """
    try:
        table: pa.Table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RequestError(f"the body is not a stream of Arrow: {error}") from None
    return table


def write_arrow(table: pa.Table) -> bytes:
    """Write a table."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
