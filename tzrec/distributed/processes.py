"""State of the processes of this machine, from /proc; nothing is known on systems without it."""

from __future__ import annotations

import os
from pathlib import Path

GONE, STOPPED = "gone", "stopped"


def namespace() -> str:
    """Return the identity of the process table of this process: two containers of a host have different ones."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def start_time(process: int) -> str:
    """Return the start of a process in ticks since the start of the machine; "" if there is no such process."""
    return (_fields(process) or [""] * 20)[19]


def state(process: int, started: str) -> str:
    """Return GONE, STOPPED, or "" for a process that can run.

    Args:
        process: id in the process table of this machine.
        started: its start; another process with the same id does not count.
    """
    fields = _fields(process)
    if not fields or fields[19] != started or fields[0] in "ZX":
        return GONE
    return STOPPED if fields[0] in "Tt" else ""


def _fields(process: int) -> list[str]:
    """Return the fields of /proc/<process>/stat from the state on; empty if there is no such process."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the name of the program may contain spaces
