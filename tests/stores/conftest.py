"""An S3 server on this machine, for `make test-stores`: moto, or SeaweedFS with TZREC_TEST_STORE=seaweedfs."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "secret-of-tester", "AWS_DEFAULT_REGION": "us-east-1"}


def free_port() -> int:
    """Return a free port below 25,000: SeaweedFS also takes the one that is larger by 10,000."""
    while True:
        port = random.randrange(15_000, 25_000)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def _command(name: str, port: int, directory: Path) -> list[str]:
    if name == "moto":
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    identity = {
        "name": "tester",
        "credentials": [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer = free_port(), free_port(), free_port()
    return [
        *(str(Path(sys.executable).with_name("weed")), "server"),
        *(f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={directory}/s3.json"),
        *(f"-s3.port={port}", f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}"),
        *("-volume.max=20", "-master.volumeSizeLimitMB=64"),
    ]


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an S3 server with the bucket `bucket`; AWS_* of this process point to it."""
    directory, port = tmp_path_factory.mktemp("server"), free_port()
    url = f"http://127.0.0.1:{port}"
    name = os.environ.get("TZREC_TEST_STORE", "moto")
    log = (directory / "log").open("wb")
    server = subprocess.Popen(_command(name, port, directory), stdout=log, stderr=log)
    patch = pytest.MonkeyPatch()
    try:
        for key, value in {**KEYS, "AWS_ENDPOINT_URL": url}.items():
            patch.setenv(key, value)
        _create_bucket(url, time.monotonic() + 60)
        yield url
    finally:
        patch.undo()
        server.kill()
        server.wait(20)


def _create_bucket(url: str, deadline: float) -> None:
    import fsspec

    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            break
        except urllib.error.HTTPError:
            break  # an answer
        except OSError:
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)
    while True:
        try:
            fsspec.filesystem("s3").mkdir("bucket")
            return
        except OSError:
            assert time.monotonic() < deadline, "the bucket cannot be created"
            time.sleep(1)
