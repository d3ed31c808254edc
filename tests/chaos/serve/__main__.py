"""Send a server good and malformed requests while versions are switched; end with one line of JSON.

    python -m tests.chaos.serve                       100,000 requests and 50 switches
    python -m tests.chaos.serve --requests 5000 --interval_s 2

    good, malformed       requests sent; `slow` and `dropped` connections beside them
    wrong                 good requests with scores that are not those of the version that answered
    failed                requests with a status of 5xx or without an answer
    refused, accepted     good requests that were refused, and malformed ones that were not
    switches              versions that began to answer
    p99_ms, ..._loading   99th percentile of the time of good requests, and of those while a version was loaded
    memory_mb_...         resident memory of the server in the second and in the last quarter of the time

The exit status is 0 if no request was answered wrongly and the memory did not grow. The machine code of a version that
is replaced stays mapped, 0.6 MB here: glibc unloads no library with unique symbols.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.chaos.serve.storm import storm
from tests.fixtures.small_model import exported_package

_GROWTH = 1.05
_GROWTH_MB = 20


def is_right(figures: dict[str, float]) -> bool:
    """True if nothing was answered wrongly."""
    return not any(figures[name] for name in ("wrong", "failed", "refused", "accepted"))


def is_memory_flat(figures: dict[str, float]) -> bool:
    """True if the memory stayed as it was; not before the server has met requests of all kinds and sizes."""
    return figures["memory_mb_last_quarter"] <= figures["memory_mb_second_quarter"] * _GROWTH + _GROWTH_MB


def main() -> int:
    """Run the storm."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.serve", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument(
        "--minutes", type=float, default=60, help="no request is sent after these; default: %(default)s"
    )
    parser.add_argument("--interval_s", type=float, default=2, help="time between two versions; default: %(default)s")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = storm(
            exported_package(), Path(folder), arguments.requests, arguments.minutes * 60, arguments.interval_s
        )
    print(json.dumps(figures))
    return 0 if is_right(figures) and is_memory_flat(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
