"""A real Triton from PyPI (nvidia-pytriton) as the reference side: it needs neither a container nor a GPU.

This module runs in the interpreter of tzrec and starts the server of another virtual environment.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.typed_model import DATATYPES, MODEL, OUTPUTS

_CODE = '''
import sys

sys.path.insert(0, {packages!r})
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    """The mean of the numbers of a row, and its sigmoid."""

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        numbers = []
        for tensor in request.inputs():
            values = tensor.as_numpy().reshape(-1)
            if values.dtype == object:
                values = np.array([len(text) for text in values])
            numbers.append(values.astype(np.float32))
        mean = np.mean(numbers, axis=0, dtype=np.float32)
        outputs = {{"logits_ctr": mean, "probs_ctr": (1 / (1 + np.exp(-mean))).astype(np.float32)}}
        wanted = request.requested_output_names()
        return pb.InferenceResponse([pb.Tensor(name, outputs[name]) for name in wanted])
'''


@dataclass(frozen=True)
class Addresses:
    """Addresses of a server, `host:port`."""

    http: str
    grpc: str


@contextlib.contextmanager
def running_triton(venv: Path, folder: Path) -> Iterator[Addresses]:
    """Run Triton with a model that has an input of each datatype.

    Args:
        venv: virtual environment with nvidia-pytriton.
        folder: for the models and the backend.
    """
    packages = next((venv / "lib").glob("python3.*")) / "site-packages"
    root = packages / "pytriton" / "tritonserver"
    backends = folder / "backends"
    shutil.copytree(root / "backends", backends)
    version = packages.parent.name.removeprefix("python")
    stub = backends / "python" / "triton_python_backend_stub"
    shutil.copy(root / "python_backend_stubs" / version / stub.name, stub)
    stub.chmod(0o755)
    model = folder / "models" / MODEL
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(_config())
    (model / "1" / "model.py").write_text(_CODE.format(packages=str(packages)))
    http, grpc = _free_port(), _free_port()
    command = [str(root / "bin" / "tritonserver"), f"--model-repository={folder / 'models'}"]
    command += [f"--backend-directory={backends}", "--allow-gpu-metrics=false", "--allow-metrics=false"]
    command += ["--model-control-mode=explicit", f"--load-model={MODEL}"]
    command += ["--http-address=127.0.0.1", f"--http-port={http}", "--grpc-address=127.0.0.1", f"--grpc-port={grpc}"]
    environment = {"LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"), "PATH": "/usr/bin:/bin"}
    with (folder / "triton.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait(process, f"http://127.0.0.1:{http}/v2/health/ready", folder / "triton.log")
        yield Addresses(f"127.0.0.1:{http}", f"127.0.0.1:{grpc}")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _config() -> str:
    kinds = {"BYTES": "STRING"}
    lines = [f'name: "{MODEL}"', 'backend: "python"', "max_batch_size: 0"]
    for datatype in DATATYPES:
        kind = f"TYPE_{kinds.get(datatype, datatype)}"
        lines.append(f'input {{ name: "{datatype.lower()}" data_type: {kind} dims: [-1] optional: true }}')
    lines += [f'output {{ name: "{name}" data_type: TYPE_FP32 dims: [-1] }}' for name in OUTPUTS]
    return "\n".join(lines)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    sys.stderr.write(log.read_text(errors="replace"))
    raise TimeoutError("Triton did not become ready; its log stands above")
