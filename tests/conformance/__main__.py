"""Make the calls of tritonclient against Triton and against `tzrec serve`, and compare what a client notices.

    python -m tests.conformance --triton VENV --client VENV

VENV are virtual environments with nvidia-pytriton and with tritonclient[all]; `make conformance` makes them. The exit
status is 0 if every check passes against both, and both give the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conformance.package import export_typed
from tests.conformance.reference import Addresses, running_triton
from tests.fixtures.servers import serving

ROOT = Path(__file__).parents[2]
_WIDTH = 60


def observe(client: Path, addresses: Addresses) -> dict[str, dict[str, object]]:
    """Make the calls in the client's environment."""
    command = [str(client / "bin" / "python"), "-m", "tests.conformance.calls"]
    command += ["--http", addresses.http, "--grpc", addresses.grpc]
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"the calls ended with status {done.returncode}:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def differences(triton: dict[str, dict[str, object]], ours: dict[str, dict[str, object]]) -> list[str]:
    """Print a line for each check; returns the checks that fail or differ."""
    wrong = []
    for name in triton:
        is_same = "error" not in triton[name] and triton[name] == ours[name]
        print(f"{'ok' if is_same else 'DIFFERS':<8} {name:<26} {_text(ours[name])[:_WIDTH]}")
        if not is_same:
            wrong.append(name)
            print(f"         triton: {_text(triton[name])}\n         tzrec:  {_text(ours[name])}")
    return wrong


def _text(observation: dict[str, object]) -> str:
    kind, value = next(iter(observation.items()))
    return f"error: {value}" if kind == "error" else json.dumps(value, ensure_ascii=False)


def main() -> int:
    """Run both servers one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__.splitlines()[0])
    parser.add_argument("--triton", type=Path, required=True, help="virtual environment with nvidia-pytriton")
    parser.add_argument("--client", type=Path, required=True, help="virtual environment with tritonclient[all]")
    parser.add_argument("--package", type=Path, help="package that `export_typed` wrote; exported by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with running_triton(arguments.triton, Path(folder)) as addresses:
            triton = observe(arguments.client, addresses)
        package = arguments.package
        if package is None:
            package = export_typed(Path(folder))
        with serving(package) as server:
            ours = observe(
                arguments.client, Addresses(f"127.0.0.1:{server.http_port}", f"127.0.0.1:{server.grpc_port}")
            )
    wrong = differences(triton, ours)
    print(f"{len(triton) - len(wrong)} of {len(triton)} checks pass alike")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
