"""Clients of a server: those that send good and malformed requests, and those that are slow or leave."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import grpc

from tests.chaos.serve.good import Good, read_answer
from tests.chaos.serve.malformed import GRPC, HTTP, INFER, HttpRequest, Malformed

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED)
_TIMEOUT_S = 60


class Tally:
    """Results of all clients.

    Attributes:
        counts: number of good and malformed requests, and of wrong answers to them.
        problems: the first ones of them.
        latencies: start and seconds of each good request.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.latencies: list[tuple[float, float]] = []
        self._lock = threading.Lock()

    def add(self, name: str, problem: str = "") -> None:
        """Count a result."""
        with self._lock:
            self.counts[name] += 1
            if problem and len(self.problems) < 20:
                self.problems.append(f"{name}: {problem}")

    def add_latency(self, start: float, seconds: float) -> None:
        """Record the time of a good request."""
        with self._lock:
            self.latencies.append((start, seconds))


class Client(threading.Thread):
    """Client that sends good requests, and one malformed one in five.

    Args:
        ports: of REST and gRPC.
        good: requests to choose from.
        bad: malformed requests to choose from, with their kinds.
        tally: of all clients.
        has_ended: returns True once no further request is to be sent.
        seed: of its choices.
    """

    def __init__(
        self,
        ports: tuple[int, int],
        good: Sequence[Good],
        bad: Sequence[tuple[Malformed, HttpRequest]],
        tally: Tally,
        has_ended: Callable[[], bool],
        seed: int,
    ) -> None:
        super().__init__(daemon=True)
        self._ports, self._good, self._bad, self._tally, self._has_ended = ports, good, bad, tally, has_ended
        self._rng = Random(seed)
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{self._ports[1]}") as channel:
            call = channel.unary_unary(_METHOD)
            while not self._has_ended():
                if self._rng.random() < 0.2:
                    self._send_malformed(call)
                else:
                    self._send_good(self._rng.choice(self._good), call)

    def _send_good(self, good: Good, call: Any) -> None:
        self._tally.add("good")
        start = time.monotonic()
        try:
            if good.form == "grpc":
                content = call(good.request.body, timeout=_TIMEOUT_S)
            else:
                status, content = self._send(good.request)
                if status != 200:
                    self._tally.add("refused" if status < 500 else "failed", f"{good.form} {status} {content[:300]!r}")
                    return
        except (OSError, http.client.HTTPException, grpc.RpcError) as error:
            self._tally.add("failed", f"{good.form} {error!r}")
            return
        self._tally.add_latency(start, time.monotonic() - start)
        version, scores = read_answer(good.form, content)
        if not good.is_right(version, scores):
            self._tally.add("wrong", f"{good.form} of version {version}")

    def _send_malformed(self, call: Any) -> None:
        self._tally.add("malformed")
        if self._rng.random() < 0.2:
            make = self._rng.choice(GRPC)
            try:
                call(make(self._rng), timeout=_TIMEOUT_S)
                self._tally.add("accepted", make.__name__)
            except grpc.RpcError as error:
                if error.code() not in _REFUSED:
                    self._tally.add("failed", f"{make.__name__} {error.code()} {error.details()}")
            return
        kind, request = self._rng.choice(self._bad)
        try:
            status, content = self._send(request)
        except (OSError, http.client.HTTPException) as error:
            self._tally.add("failed", f"{kind.name} {error!r}")
            return
        if status not in kind.statuses:
            self._tally.add("failed" if status >= 500 else "accepted", f"{kind.name} {status} {content[:300]!r}")

    def _send(self, request: HttpRequest) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._ports[0], timeout=_TIMEOUT_S)
        try:
            headers = {name: value.encode("latin-1") for name, value in request.headers.items()}
            self._connection.request(request.method, request.path, request.body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except Exception:
            self._connection.close()
            self._connection = None
            raise


class RudeClient(threading.Thread):
    """Client that sends slowly, or leaves in the middle of a request or of its answer.

    Args:
        port: of REST.
        good: requests of which it sends parts.
        tally: of all clients.
        has_ended: returns True once no further request is to be sent.
        seed: of its choices.
    """

    def __init__(self, port: int, good: Sequence[Good], tally: Tally, has_ended: Callable[[], bool], seed: int) -> None:
        super().__init__(daemon=True)
        self._port, self._tally, self._has_ended, self._rng = port, tally, has_ended, Random(seed)
        self._bodies = [request.request.body for request in good if request.form == "json"]

    def run(self) -> None:
        while not self._has_ended():
            body = self._rng.choice(self._bodies)
            text = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            end = self._rng.randrange(len(text) + 1)
            is_slow = self._rng.random() < 0.3
            self._tally.add("slow" if is_slow else "dropped")
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT_S) as connection,
            ):
                connection.sendall(text[:end])
                while is_slow and not self._has_ended():
                    connection.settimeout(0.2)
                    with suppress(TimeoutError):
                        if not connection.recv(65536):
                            break
            time.sleep(0.02)


def malformed_pool(seed: int, number: int) -> list[tuple[Malformed, HttpRequest]]:
    """Make some requests of each kind."""
    return [(kind, kind.make(Random(seed + index))) for kind in HTTP for index in range(number)]
