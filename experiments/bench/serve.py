"""Measure the server beside its parts and other servers in the same run: one user and 200 items, raw text columns.

    python experiments/bench/serve.py            # as in `make bench-serve`; eight minutes on two cores

Server and load generator share the machine. Rounds are interleaved and figures are medians, so that drift of the
machine affects all alike. Baselines that are not installed are left out, with a line that says so. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from bench import CONFIG, Figures, execute, launch
from load import LoadResult, http_request, run_load
from record import record
from triton_server import running_triton

import tzrec
from tzrec.tools.make_taobao import FEATURES

FOLDER = Path(__file__).parent
USER = [feature.name for feature in FEATURES if feature.owner == "user_id"]
ITEM = [feature.name for feature in FEATURES if feature.owner != "user_id"]
PACKAGE = "mmoe"
OUTPUTS = ("probs_ctr", "probs_cvr")
ITEMS, REQUESTS = 200, 50
CONNECTIONS = (1, 4, 16)
MORE_CONNECTIONS = (2, 8, 32)
"""Tried for the highest rate in addition."""
MAX_P99_MS = 50
RANK, INFER, FASTAPI, TRITON = "rank", "infer", "fastapi", "triton"


@dataclass(frozen=True)
class Target:
    """A server that is measured.

    Attributes:
        port: on which it listens.
        requests: to send.
        process: of the server.
    """

    port: int
    requests: Sequence[bytes]
    process: subprocess.Popen[bytes]

    def load(self, connections: int, seconds: float) -> tuple[LoadResult, float]:
        """Measure it; returns the milliseconds of processor time that a request costs, too."""
        before = cpu_seconds(self.process.pid)
        result = run_load(self.port, self.requests, connections, seconds)
        spent = cpu_seconds(self.process.pid) - before
        return result, 1e3 * spent / (result.rate * seconds)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


def make_package(folder: Path) -> None:
    """Train a few steps on synthetic data and export."""
    data = folder / "data"
    execute(sys.executable, "-m", "tzrec.tools.make_taobao", "--out", str(data),
            "--train_rows", "40000", "--eval_rows", "1000")  # fmt: skip
    edits = {"train_input_path": f"{data}/train/*.parquet", "eval_input_path": ""}
    launch(1, "tzrec.train_eval", "--pipeline_config", CONFIG, "--model_dir", str(folder / "model"),
           "--edit_config_json", json.dumps(edits))  # fmt: skip
    launch(1, "tzrec.export", "--pipeline_config", str(folder / "model/pipeline.config"),
           "--export_dir", str(folder / PACKAGE),
           "--edit_config_json", json.dumps({"export_config.user_once": True}))  # fmt: skip


def raw_requests(folder: Path) -> list[tuple[pa.Table, pa.Table]]:
    """Users and their items as text, from the training data."""
    table = pq.read_table(next((folder / "data/train").glob("*.parquet")), columns=[*USER, *ITEM])
    text = pa.table({name: table[name].cast(pa.string()) for name in table.column_names}).combine_chunks()
    return [(text.select(USER).slice(i, 1), text.select(ITEM).slice(i * 97, ITEMS)) for i in range(REQUESTS)]


def rank_body(user: pa.Table, items: pa.Table) -> bytes:
    """Body of a request to rank."""
    return json.dumps({"user": user.to_pylist()[0], "items": items.to_pylist()}).encode()


def infer_request(port: int, user: pa.Table, items: pa.Table) -> bytes:
    """A request to infer with binary tensors, as Triton's clients send them."""
    table = repeated(user, items)
    parts = [
        b"".join(len(text).to_bytes(4, "little") + text.encode() for text in table[name].to_pylist())
        for name in table.column_names
    ]
    inputs = [
        {"name": name, "shape": [ITEMS], "datatype": "BYTES", "parameters": {"binary_data_size": len(part)}}
        for name, part in zip(table.column_names, parts, strict=True)
    ]
    outputs = [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    length = {"Inference_Header_Content_Length": str(len(head))}
    return http_request(port, "/v2/models/mmoe/infer", b"".join([head, *parts]), **length)


def repeated(user: pa.Table, items: pa.Table) -> pa.Table:
    """Rows of the items with the columns of the user."""
    first = pa.array(np.zeros(items.num_rows, np.int64))
    columns = {name: user[name].combine_chunks().take(first) for name in user.column_names}
    return pa.table({**columns, **{name: items[name] for name in items.column_names}})


class PackageParts:
    """The parts of a request, measured in this process: the compiled forward pass and the encoding of features."""

    def __init__(self, package: Path, user: pa.Table, items: pa.Table) -> None:
        self._predictor = tzrec.load(package)
        batch = repeated(user, items).combine_chunks().to_batches()[0]
        columns, _ = self._predictor.encoder.encode(batch)
        self._inputs = self._predictor.scorer.signature.from_columns(columns, ITEMS)
        (self._user,), (self._items,) = (table.combine_chunks().to_batches() for table in (user, items))
        self._owners = np.zeros(ITEMS, np.int64)

    def measure(self) -> Figures:
        """Medians in milliseconds."""
        with torch.inference_mode():
            forward = _median_ms(lambda: self._predictor.scorer.predict(self._inputs))
        encode = _median_ms(lambda: self._predictor.encoder.encode_request(self._user, self._items, self._owners))
        return {"bare_forward_ms": forward, "encode_ms": encode}


def _median_ms(work: Callable[[], object], times: int = 200) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server."""
    with log.open("wb") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait for a server; exit with its log if it does not start."""
    end = time.monotonic() + 180
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    sys.exit(f"{url} does not answer:\n{log.read_text(errors='replace')}")


def start_targets(
    stack: contextlib.ExitStack, scratch: Path, raw: Sequence[tuple[pa.Table, pa.Table]], args: argparse.Namespace
) -> dict[str, Target]:
    """Start the servers of the package in `args.folder`; leave out the ones that are not installed."""
    targets, package = {}, args.folder / PACKAGE
    port, log = free_port(), scratch / "tzrec.log"
    command = [sys.executable, "-m", "tzrec", "serve", "--model_path", str(package), "--http_port", str(port),
               "--grpc_port", "0", *args.serve_flags]  # fmt: skip
    process = stack.enter_context(running(command, log))
    wait_until_ready(process, f"http://127.0.0.1:{port}/v2/health/ready", log)
    rank = [http_request(port, "/v2/models/mmoe/rank", rank_body(*request)) for request in raw]
    targets[RANK] = Target(port, rank, process)
    targets[INFER] = Target(port, [infer_request(port, *request) for request in raw], process)
    if subprocess.run([args.fastapi_python, "-c", "import fastapi"], capture_output=True).returncode:
        print(f"fastapi is left out: {args.fastapi_python} has no fastapi; pip install fastapi", file=sys.stderr)
    else:
        port, log = free_port(), scratch / "fastapi.log"
        command = [args.fastapi_python, "-m", "uvicorn", "--app-dir", str(FOLDER), "fastapi_app:app",
                   "--port", str(port), "--no-access-log"]  # fmt: skip
        process = stack.enter_context(running(command, log))
        wait_until_ready(process, f"http://127.0.0.1:{port}/openapi.json", log)
        headers = {"Content_Type": "application/json"}
        bodies = [http_request(port, "/rank", rank_body(*request), **headers) for request in raw]
        targets[FASTAPI] = Target(port, bodies, process)
    if not args.triton_venv.is_dir():
        print(f"triton is left out: no {args.triton_venv}; python -m venv {args.triton_venv} and pip install "
              "nvidia-pytriton 'pyarrow<22' there", file=sys.stderr)  # fmt: skip
    else:
        port = free_port()
        context = running_triton(args.triton_venv, scratch, package, [*USER, *ITEM], OUTPUTS, port)
        process = stack.enter_context(context)
        wait_until_ready(process, f"http://127.0.0.1:{port}/v2/health/ready", scratch / "triton.log")
        targets[TRITON] = Target(port, [infer_request(port, *request) for request in raw], process)
    return targets


def measure(targets: dict[str, Target], parts: PackageParts, rounds: int, seconds: float) -> Figures:
    """Measure all, interleaved."""
    samples: dict[str, list[float]] = defaultdict(list)
    rates: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for number in range(rounds):
        for name, value in parts.measure().items():
            samples[name].append(value)
        for connections in (*CONNECTIONS, *MORE_CONNECTIONS):
            for name, target in targets.items():
                if connections in MORE_CONNECTIONS and name != RANK:
                    continue
                result, cpu_ms = target.load(connections, seconds)
                if result.num_failed:
                    sys.exit(f"{name}: {result.num_failed} requests failed")
                print(f"[{number + 1}/{rounds}] {name:8} {connections:2} connections  p50 {result.p50_ms:6.1f} ms  p99 "
                      f"{result.p99_ms:6.1f} ms  {result.rate:6.0f}/s  {cpu_ms:.1f} ms of processor time",
                      file=sys.stderr, flush=True)  # fmt: skip
                values = {"p50_ms": result.p50_ms, "p99_ms": result.p99_ms, "rate": result.rate, "cpu_ms": cpu_ms}
                for key, value in values.items():
                    samples[f"{name}_{key}_{connections}"].append(value)
                if name == RANK:
                    rates[connections].append((result.rate, result.p99_ms))
    figures = {name: statistics.median(values) for name, values in samples.items()}
    medians = [tuple(map(statistics.median, zip(*pairs, strict=True))) for pairs in rates.values()]
    figures["max_rate"] = max((rate for rate, p99_ms in medians if p99_ms < MAX_P99_MS), default=0.0)
    return figures


def summarize(figures: Figures) -> Figures:
    """Name the figures of `rank` without a prefix, and add the ratios of the targets."""
    named = {name.removeprefix(f"{RANK}_"): value for name, value in figures.items()}
    named["p50_ratio"] = named["p50_ms_1"] / (named["bare_forward_ms"] + named["encode_ms"])
    named["tail_ratio"] = named["p99_ms_1"] / named["p50_ms_1"]
    for name, own in ((FASTAPI, RANK), (TRITON, INFER)):
        if f"{name}_rate_16" in figures:
            named[f"{name}_ms"] = figures[f"{name}_p50_ms_1"]
            named[f"{name}_ratio"] = figures[f"{own}_rate_16"] / figures[f"{name}_rate_16"]
            named[f"{name}_cpu_ratio"] = figures[f"{name}_cpu_ms_16"] / figures[f"{own}_cpu_ms_16"]
    return named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each load")
    parser.add_argument("--folder", type=Path, help="with data/ and mmoe/ of an earlier run; default: a new one")
    parser.add_argument("--fastapi_python", default=sys.executable, help="interpreter that has torch and fastapi")
    parser.add_argument("--triton_venv", type=Path, default=Path(".venv-triton"), help="with nvidia-pytriton")
    parser.add_argument("--serve_flags", nargs="*", default=[], help="further flags of tzrec serve")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        args.folder = args.folder or scratch / "run"
        if not (args.folder / PACKAGE).is_dir():
            make_package(args.folder)
        raw = raw_requests(args.folder)
        parts = PackageParts(args.folder / PACKAGE, *raw[0])
        targets = start_targets(stack, scratch, raw, args)
        for target in targets.values():
            target.load(2, 2)  # not measured: the first requests take longer
        record("serve", summarize(measure(targets, parts, args.rounds, args.seconds)))


if __name__ == "__main__":
    main()
