"""Send what schemathesis makes of the OpenAPI description to `tzrec serve`.

    python -m tests.conformance.fuzz --schemathesis VENV

VENV is a virtual environment with schemathesis; `make fuzz-rest` makes it. The exit status is 0 if no answer is an
error of the server, or differs from its description.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conformance.package import export_typed
from tests.fixtures.servers import serving

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "negative_data_rejection",
)


def main() -> int:
    """Serve a package and run schemathesis against it."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--schemathesis", type=Path, required=True, help="virtual environment with schemathesis")
    parser.add_argument("--package", type=Path, help="package that `export_typed` wrote; exported by default")
    parser.add_argument("--examples", type=int, default=50, help="requests for each operation; default: 50")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(arguments.package or export_typed(Path(folder))) as server:
        command = [str(arguments.schemathesis / "bin" / "schemathesis"), "run", "--no-color", "--seed", "1"]
        command += ["--checks", ",".join(_CHECKS), "--max-examples", str(arguments.examples)]
        command += ["--exclude-path-regex", "/repository/models/"]  # unloads the model that the others need
        command += [f"http://127.0.0.1:{server.http_port}/openapi.json"]
        return subprocess.run(command, cwd=folder, timeout=1200, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
