"""Load generator for HTTP servers on this machine: connections that each send one request after the other.

It runs in a process of its own, so that it does not share Python's lock with anything that is measured.
"""

from __future__ import annotations

import itertools
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

_LENGTH = b"content-length:"


@dataclass(frozen=True)
class LoadResult:
    """Result of a load.

    Attributes:
        p50_ms: median time of a request.
        p99_ms: time that one of a hundred exceeds.
        rate: answers per second.
        num_failed: requests that were not answered with 200.
    """

    p50_ms: float
    p99_ms: float
    rate: float
    num_failed: int


def http_request(port: int, path: str, body: bytes, **headers: str) -> bytes:
    """Write a request with keep-alive."""
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run_load(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> LoadResult:
    """Send requests over several connections for some seconds, from a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, port, requests, connections, seconds).result()


def _run(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> LoadResult:
    times: list[float] = []
    failures: list[int] = []
    endless = itertools.cycle(requests)
    start = threading.Barrier(connections + 1)

    def send_all() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            start.wait()
            end = time.perf_counter() + seconds
            for request in _until(end, endless):
                begin = time.perf_counter()
                status = _send(connection, request)
                times.append(time.perf_counter() - begin)
                if status != 200:
                    failures.append(status)

    threads = [threading.Thread(target=send_all) for _ in range(connections)]
    for thread in threads:
        thread.start()
    start.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begin
    percentiles = statistics.quantiles(times, n=100)
    return LoadResult(1e3 * percentiles[49], 1e3 * percentiles[98], len(times) / elapsed, len(failures))


def _until(end: float, requests: Iterator[bytes]) -> Iterator[bytes]:
    while time.perf_counter() < end:
        yield next(requests)


def _send(connection: socket.socket, request: bytes) -> int:
    """Send a request and read the answer; returns its status."""
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(int(line[len(_LENGTH) :]) for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH))
    num_missing = length - len(body)
    while num_missing > 0:
        num_missing -= len(_receive(connection))
    return int(head[9:12])


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise ConnectionError("the server closed a connection")
    return data
