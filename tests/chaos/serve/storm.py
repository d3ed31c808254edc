"""A storm: a server in a process of its own, clients of all kinds, and versions that are switched meanwhile."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.chaos.serve.clients import Client, RudeClient, Tally, malformed_pool
from tests.chaos.serve.good import good_requests
from tests.chaos.serve.malformed import MODEL
from tests.chaos.serve.versions import Switcher, make_variants

_CONFIG = """
model_path: "%s" http_port: 0 grpc_port: 0
versions { poll_s: 0.2 }
request_limits { max_read_s: 2 max_connections: 200 }
shutdown { grace_s: 20 }
"""
_NUM_CLIENTS, _NUM_RUDE = 4, 2
_PORTS = re.compile(r"http://127\.0\.0\.1:(\d+) and grpc://127\.0\.0\.1:(\d+)")


def storm(
    package: Path, folder: Path, num_requests: int, max_s: float, interval_s: float, num_switches: int = 50
) -> dict[str, float]:
    """Send requests, one in five malformed, while versions are switched.

    Args:
        package: of `small_model`.
        folder: for its variants, the versions and the log.
        num_requests: good and malformed ones.
        max_s: no request is sent after these seconds.
        interval_s: time between two versions.
        num_switches: of versions, at most.

    Returns:
        the figures of `__main__`.
    """
    variants = make_variants(package, folder)
    good, bad = good_requests(variants, 60, seed=1), malformed_pool(seed=2, number=4)
    tally, samples = Tally(), []
    with _server(folder, lambda root: Switcher(variants, root, lambda: 0, 0, 0).publish(1)) as (process, ports):
        end = time.monotonic() + max_s

        def has_ended() -> bool:
            num_sent = tally.counts["good"] + tally.counts["malformed"]
            return num_sent >= num_requests or time.monotonic() > end

        clients: list[threading.Thread] = [
            Client(ports, good, bad, tally, has_ended, seed) for seed in range(_NUM_CLIENTS)
        ]
        clients += [RudeClient(ports[0], good, tally, has_ended, seed) for seed in range(_NUM_RUDE)]
        switcher = Switcher(variants, folder / "models", lambda: _newest(ports[0]), interval_s, num_switches)
        for thread in (*clients, switcher):
            thread.start()
        while not has_ended():
            samples.append(_resident_mb(process.pid))
            time.sleep(0.2)
        switcher.stop()
        for thread in clients:
            thread.join(120)
        assert switcher.error is None, switcher.error
        process.send_signal(signal.SIGTERM)
        status = process.wait(60)
    assert status == 0, (folder / "log").read_text()[-3000:]
    return _figures(tally, switcher, samples)


def _figures(tally: Tally, switcher: Switcher, samples: list[float]) -> dict[str, float]:
    during, outside = [], []
    for start, seconds in tally.latencies:
        is_loading = any(first <= start + seconds and start <= last for first, last in switcher.loading)
        (during if is_loading else outside).append(seconds * 1e3)
    quarter = max(len(samples) // 4, 1)
    names = ("good", "malformed", "wrong", "failed", "refused", "accepted", "slow", "dropped")
    return {
        **{name: tally.counts[name] for name in names},
        "switches": switcher.num_switches,
        "p99_ms": _percentile(outside),
        "p99_ms_loading": _percentile(during),
        "memory_mb_second_quarter": round(float(np.median(samples[quarter : 2 * quarter] or samples)), 1),
        "memory_mb_last_quarter": round(float(np.median(samples[-quarter:])), 1),
        "problems": tally.problems,  # type: ignore[dict-item]
    }


def _percentile(values: list[float]) -> float:
    return round(float(np.percentile(values, 99)), 2) if values else 0.0


@contextmanager
def _server(folder: Path, publish: object) -> Iterator[tuple[subprocess.Popen[bytes], tuple[int, int]]]:
    root, config, log = folder / "models", folder / "server.config", folder / "log"
    publish(root)  # type: ignore[operator]
    config.write_text(_CONFIG % root)
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "tzrec", "serve", "--serve_config", str(config)]
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        end = time.monotonic() + 120
        while (match := _PORTS.search(log.read_text(errors="replace"))) is None:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield process, (int(match[1]), int(match[2]))
    finally:
        process.kill()
        process.wait()


def _newest(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", f"/v2/models/{MODEL}")
    versions = json.loads(connection.getresponse().read())["versions"]
    connection.close()
    return max(map(int, versions))


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
