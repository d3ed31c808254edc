"""A cgroup that limits processes of a workspace, version 1 or 2; creating one needs root and a writable hierarchy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
_CONTROLS = {
    "cpu": ("cpu.cfs_quota_us", "cpu.max"),
    "memory": ("memory.limit_in_bytes", "memory.max"),
}


@contextmanager
def cgroup(controller: str, value: str) -> Iterator[list[str] | None]:
    """Create a cgroup meanwhile; yields the command to put in front of one that runs in it, None where that fails.

    Args:
        controller: "cpu" or "memory".
        value: cores' worth of time in microseconds per 100,000, or bytes.
    """
    is_first_version = (CGROUPS / controller / "tasks").exists()
    group = CGROUPS / (controller if is_first_version else "") / f"tzrec-chaos-{os.getpid()}"
    first, second = _CONTROLS[controller]
    try:
        group.mkdir()
        (group / (first if is_first_version else second)).write_text(value)
    except OSError:
        with suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield ["bash", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "bash"]
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    """Remove a cgroup as soon as its last process is gone."""
    for _ in range(100):
        with suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)
