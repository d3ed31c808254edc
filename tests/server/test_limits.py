"""Clients that the server refuses or no longer waits for, encryption, and the end of a server."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.chaos.serve.malformed import INFER, ITEM, MODEL
from tests.fixtures.servers import running, send
from tests.fixtures.small_model import exported_package
from tzrec.errors import UsageError
from tzrec.protos.serve_pb2 import RequestLimits, ServeConfig, TlsConfig
from tzrec.protos.serving import inference_pb2 as pb
from tzrec.server.admission import Admission, Tokens
from tzrec.server.errors import RequestError
from tzrec.server.run import Server

GOOD = {"inputs": [ITEM]}
SERVICE = "/inference.GRPCInferenceService"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / MODEL
    shutil.copytree(exported_package(), path)
    return str(path)


@pytest.fixture(scope="module")
def limited(package: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server with short limits and a token."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text("first\n")
    limits = RequestLimits(max_body_bytes=100_000, max_read_s=0.5, max_connections=20, max_write_s=0.5)
    config = ServeConfig(model_path=package, token_path=str(tokens), request_limits=limits, versions={"poll_s": 0.05})
    with running(config) as server:
        yield server, tokens


def connect(server: Server, data: bytes) -> socket.socket:
    """Send bytes on a connection of their own."""
    connection = socket.create_connection(("127.0.0.1", server.http_port), timeout=20)
    connection.sendall(data)
    return connection


def answer(connection: socket.socket) -> bytes:
    """Receive all that the server sends before it closes the connection."""
    with connection:
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def test_request_without_valid_token_is_refused_over_both_protocols(limited: tuple[Server, Path]) -> None:
    server, tokens = limited
    message = 'the header "Authorization: Bearer TOKEN" has no valid token'
    for headers in (
        {},
        {"Authorization": "Bearer second"},
        {"Authorization": "Basic first"},
        {"Authorization": "\xff"},
    ):
        for path, method in ((INFER, "POST"), ("/metrics", "GET"), (f"/v2/repository/models/{MODEL}/unload", "POST")):
            assert send(server, method, path, GOOD, **headers)[:2] == (401, {"error": message})
    assert send(server, "POST", INFER, GOOD, Authorization="bearer first")[0] == 200
    assert send(server, "GET", "/v2/health/ready")[:2] == (200, b"")

    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        metadata, ready = (channel.unary_unary(f"{SERVICE}/{name}") for name in ("ServerMetadata", "ServerReady"))
        with pytest.raises(grpc.RpcError) as raised:
            metadata(b"", metadata=[("authorization", "Bearer second")], timeout=20)
        assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, message)
        assert metadata(b"", metadata=[("authorization", "Bearer first")], timeout=20)
        assert pb.ServerReadyResponse.FromString(ready(b"", timeout=20)).ready

    # tokens are replaced while the server runs; a file without any changes nothing
    tokens.write_text("second\n\nfirst\n")
    os.utime(tokens, ns=(1, 1))
    end = time.monotonic() + 20
    while send(server, "POST", INFER, GOOD, Authorization="Bearer second")[0] == 401 and time.monotonic() < end:
        time.sleep(0.05)
    assert send(server, "POST", INFER, GOOD, Authorization="Bearer second")[0] == 200
    tokens.write_text("")
    time.sleep(0.2)
    assert send(server, "POST", INFER, GOOD, Authorization="Bearer first")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v2",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST %s HTTP/1.1\r\nAuthorization: Bearer first\r\nContent-Length: 9\r\n\r\n{",
    ],
)
def test_slow_client_is_answered_with_408(limited: tuple[Server, Path], sent: bytes) -> None:
    start = time.monotonic()
    received = answer(connect(limited[0], sent.replace(b"%s", INFER.encode())))
    assert received.startswith(b"HTTP/1.1 408 Request Timeout\r\n") and b"max_read_s" in received
    assert 0.4 < time.monotonic() - start < 15


def test_client_that_sends_endless_headers_or_body_is_closed(limited: tuple[Server, Path]) -> None:
    server, _ = limited
    headers = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(100))
    assert answer(connect(server, b"GET /v2 HTTP/1.1\r\n" + headers)).startswith(b"HTTP/1.1 431 ")
    head = f"POST {INFER} HTTP/1.1\r\nAuthorization: Bearer first\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    connection, is_closed = connect(server, head), False
    for _ in range(1000):
        try:
            connection.sendall(b"400\r\n" + b" " * 1024 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            is_closed = True
            break
        time.sleep(0.01)
    connection.close()
    assert is_closed


def test_body_beyond_the_limit_is_refused_after_it_was_read(limited: tuple[Server, Path]) -> None:
    status, content, _ = send(limited[0], "POST", INFER, b" " * 200_000, Authorization="Bearer first")
    assert (status, content["error"]) == (413, "the body has more than 100000 bytes; send fewer rows")


def test_connections_beyond_the_limit_are_closed(limited: tuple[Server, Path]) -> None:
    server, _ = limited
    connections = [connect(server, b"") for _ in range(30)]
    time.sleep(0.1)
    for connection in connections:
        connection.setblocking(False)
    closed = 0
    for connection in connections:
        try:
            closed += connection.recv(1) == b""
        except BlockingIOError:
            pass
        except OSError:
            closed += 1
        connection.close()
    assert closed >= 10
    time.sleep(0.1)
    assert send(server, "POST", INFER, GOOD, Authorization="Bearer first")[0] == 200


def test_client_that_leaves_before_its_answer_harms_nobody(
    limited: tuple[Server, Path], caplog: pytest.LogCaptureFixture
) -> None:
    server, _ = limited
    body = json.dumps(GOOD).encode()
    head = f"POST {INFER} HTTP/1.1\r\nAuthorization: Bearer first\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for sent in (head, head + body[:20], head + body):
        connect(server, sent).close()
    time.sleep(0.3)
    assert send(server, "POST", INFER, GOOD, Authorization="Bearer first")[0] == 200
    assert not [record for record in caplog.records if "failed" in record.getMessage()]


def test_admission_counts_requests_bytes_and_rates() -> None:
    limits = RequestLimits(
        max_requests=2, max_body_bytes=1024, max_total_bytes=1500, max_requests_per_s=0.001, max_burst=3
    )
    admission = Admission(limits)
    with admission.admit("", "a") as first, admission.admit("", "b") as second:
        with (
            pytest.raises(RequestError, match="2 requests are being answered; try again later"),
            admission.admit("", "c"),
        ):
            pass
        first.add_bytes(1000)
        with pytest.raises(RequestError, match="too many bytes of requests are being received") as raised:
            second.add_bytes(501)
        assert raised.value.status == 429
        second.add_bytes(500)
    with admission.admit("", "a") as first:
        first.add_bytes(1024)
    with admission.admit("", "a"):
        pass
    with (
        pytest.raises(RequestError, match=r"more than 0\.001 requests per second of one client"),
        admission.admit("", "a"),
    ):
        pass
    with admission.admit("", "b"):
        pass


def test_tokens_of_a_file_without_any_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    for name, reason in (("empty", "has no token; write a token per line"), ("none", "cannot be read")):
        with pytest.raises(UsageError, match=f"token_path {tmp_path / name} {reason}"):
            Tokens(str(tmp_path / name))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext"
    )
    subprocess.run([*command.split(), "subjectAltName=DNS:localhost"], cwd=folder, check=True, capture_output=True)
    return folder


def test_server_with_certificate_answers_over_tls_only(package: str, certificate: Path) -> None:
    cert, key = certificate / "cert.pem", certificate / "key.pem"
    tls = TlsConfig(cert_path=str(cert), key_path=str(key), client_ca_path=str(cert))
    with running(ServeConfig(model_path=package, tls=tls)) as server:
        url = f"https://localhost:{server.http_port}/v2/health/ready"
        context = ssl.create_default_context(cafile=str(cert))
        with pytest.raises((ssl.SSLError, ConnectionError, urllib.error.URLError)):  # without a certificate of its own
            urllib.request.urlopen(url, context=context, timeout=20)
        context.load_cert_chain(cert, key)
        with urllib.request.urlopen(url, context=context, timeout=20) as response:
            assert response.status == 200
        credentials = grpc.ssl_channel_credentials(cert.read_bytes(), key.read_bytes(), cert.read_bytes())
        with grpc.secure_channel(f"localhost:{server.grpc_port}", credentials) as channel:
            assert channel.unary_unary(f"{SERVICE}/ServerReady")(b"", timeout=20)
        with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel, pytest.raises(grpc.RpcError):
            channel.unary_unary(f"{SERVICE}/ServerReady")(b"", timeout=20)


def test_server_with_wrong_certificate_files_is_refused(package: str, certificate: Path, tmp_path: Path) -> None:
    cert, key, junk = certificate / "cert.pem", certificate / "key.pem", tmp_path / "junk"
    junk.write_text("junk")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"cert_path": "/none", "key_path": str(key)}, r"tls\.cert_path: /none does not exist; give a PEM file"),
        ({"cert_path": str(cert), "key_path": str(junk)}, r"are no certificate and its private key: .*give PEM files"),
        (
            {"cert_path": str(cert), "key_path": str(key), "client_ca_path": str(junk)},
            r"tls\.client_ca_path .*junk has no certificates in PEM",
        ),
    ]
    for fields, message in cases:
        with pytest.raises(UsageError, match=message):
            Server(ServeConfig(model_path=package, tls=TlsConfig(**fields)))


def test_server_that_stops_is_not_ready_and_answers_until_it_has_drained(package: str) -> None:
    config = ServeConfig(model_path=package, http_port=0, grpc_port=0, shutdown={"drain_s": 1})
    server = Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.is_listening.wait(60)
    assert send(server, "GET", "/v2/health/ready")[0] == 200
    server.stop()
    assert send(server, "GET", "/v2/health/ready")[0] == 503
    assert send(server, "POST", INFER, GOOD)[0] == 200
    thread.join(60)
    assert not thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        send(server, "GET", "/v2/health/live")
