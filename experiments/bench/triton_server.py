"""Baseline of the serving benchmark: a real Triton with a Python backend that calls the package.

Triton comes from PyPI inside nvidia-pytriton, which needs a virtual environment of its own, with pyarrow below 22: its
stub crashes with numpy 2, which newer ones need.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow

_CODE = '''
import sys

sys.path.insert(0, {packages!r})
import numpy  # below 2, because of Triton's stub, and a pyarrow that takes it
import pyarrow as pa

sys.path[:1] = {paths!r}
import torch
import triton_python_backend_utils as pb

import tzrec


class TritonPythonModel:
    """The package, one instance for each core."""

    def initialize(self, arguments):
        torch.set_num_threads(1)
        self.predictor = tzrec.load({package!r})

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        tensors = request.inputs()
        table = {{tensor.name(): pa.array(tensor.as_numpy(), pa.binary()).cast(pa.string()) for tensor in tensors}}
        scores = self.predictor.predict(pa.table(table))
        names = request.requested_output_names()
        return pb.InferenceResponse([pb.Tensor(name, scores[name].to_numpy()) for name in names])
'''


@contextlib.contextmanager
def running_triton(
    venv: Path, folder: Path, package: Path, columns: Sequence[str], outputs: Sequence[str], port: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Run Triton on a port with a model `mmoe`.

    Args:
        venv: virtual environment with nvidia-pytriton.
        folder: for the models and the backend.
        package: to call.
        columns: raw columns, which become inputs of text.
        outputs: of the package, one number for each row.
        port: of the REST interface.
    """
    packages = next((venv / "lib").glob("python3.*")) / "site-packages"
    root = packages / "pytriton" / "tritonserver"
    shutil.copytree(root / "backends", folder / "backends")
    stub = folder / "backends" / "python" / "triton_python_backend_stub"
    version = packages.parent.name.removeprefix("python")
    shutil.copy(root / "python_backend_stubs" / version / stub.name, stub)
    stub.chmod(0o755)
    model = folder / "models" / "mmoe"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(_config(columns, outputs))
    repository = Path(__file__).resolve().parents[2]
    paths = [str(repository), str(Path(pyarrow.__file__).parents[1])]
    (model / "1" / "model.py").write_text(
        _CODE.format(packages=str(packages), paths=paths, package=str(package.resolve()))
    )
    command = [str(root / "bin" / "tritonserver"), f"--model-repository={folder / 'models'}"]
    command += [f"--backend-directory={folder / 'backends'}", "--allow-gpu-metrics=false", "--allow-metrics=false"]
    command += ["--http-address=127.0.0.1", f"--http-port={port}", "--allow-grpc=false"]
    environment = {"LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"), "PATH": "/usr/bin:/bin"}
    with (folder / "triton.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _config(columns: Sequence[str], outputs: Sequence[str]) -> str:
    lines = ['name: "mmoe"', 'backend: "python"', "max_batch_size: 0", "instance_group { count: 2 kind: KIND_CPU }"]
    lines += [f'input {{ name: "{name}" data_type: TYPE_STRING dims: [-1] }}' for name in columns]
    lines += [f'output {{ name: "{name}" data_type: TYPE_FP32 dims: [-1] }}' for name in outputs]
    return "\n".join(lines)
