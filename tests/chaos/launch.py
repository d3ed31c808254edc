"""Ranks of a run as plain processes, under an agent of torchrun, or in network namespaces."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.chaos.workspace import Workspace, checkpoints


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_ranks(
    workspace: Workspace,
    config: Path,
    *flags: str,
    env: Mapping[str, str] | None = None,
    wrappers: Sequence[Sequence[str]] = ((), ()),
    program: Path | None = None,
) -> list[subprocess.Popen[bytes]]:
    """Start the ranks of a training as plain processes that no agent watches; rank N appends to `rankN.log`.

    Args:
        env: additional variables, such as MASTER_ADDR.
        wrappers: commands in front of each rank.
        program: script to run with the config instead of `tzrec train`.
    """
    shared = {"WORLD_SIZE": str(len(wrappers)), "LOCAL_WORLD_SIZE": str(len(wrappers)), "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": str(free_port())} | dict(env or {})
    command = [sys.executable, program] if program else [sys.executable, "-m", "tzrec", "train", "--pipeline_config"]
    processes = []
    for rank, wrapper in enumerate(wrappers):
        with (workspace.directory / f"rank{rank}.log").open("ab") as log:
            process = subprocess.Popen(
                [*wrapper, *map(str, command), str(config), *flags],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=workspace.directory,
                env=workspace.environment | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                start_new_session=True,
            )
        processes.append(process)
    return processes


def log_of(workspace: Workspace, rank: int) -> str:
    """Return the output of a rank that `start_ranks` started."""
    return (workspace.directory / f"rank{rank}.log").read_text()


def line_with(text: str, *parts: str) -> str:
    """Return the first line that contains all parts; the assertion shows the end of the text."""
    lines = [line.strip() for line in text.splitlines() if all(part in line for part in parts)]
    assert lines, f"no line with {parts} in:\n{text[-3000:]}"
    return lines[0]


def ranks_of(agent: subprocess.Popen[bytes]) -> dict[int, int]:
    """Return the process ids of the ranks that an agent started, by rank."""
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
    processes: dict[int, int] = {}
    for task in children.parent.parent.iterdir():
        try:
            pids = (task / "children").read_text().split()
        except OSError:
            continue
        for pid in pids:
            try:
                variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            rank = next((item[5:] for item in variables if item.startswith(b"RANK=")), None)
            if rank is not None:
                processes[int(rank)] = int(pid)
    return processes


def wait_for(condition: Callable[[], object], limit_s: float, text: str) -> None:
    """Poll a condition until it holds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"not within {limit_s:.0f} s: {text}"
        time.sleep(0.01)


def newest_step(model_dir: Path) -> int:
    """Return the step of the last checkpoint, -1 without one."""
    found = checkpoints(model_dir) if model_dir.exists() else []
    return int(found[-1].name.removeprefix("model.ckpt-")) if found else -1


def wait_for_checkpoint(
    model_dir: Path, processes: Sequence[subprocess.Popen[bytes]], after: int = 0, limit_s: float = 60
) -> int:
    """Wait until a run has written a checkpoint beyond a step; return its step."""

    def is_written() -> bool:
        ended = [process.returncode for process in processes if process.poll() is not None]
        assert not ended, f"a rank ended with {ended}"
        return newest_step(model_dir) > after

    wait_for(is_written, limit_s, f"a checkpoint after step {after}")
    return newest_step(model_dir)


def statuses(processes: Sequence[subprocess.Popen[bytes]], limit_s: float) -> list[int]:
    """Wait for the end of processes and return their exit statuses."""
    end = time.monotonic() + limit_s
    return [process.wait(max(end - time.monotonic(), 0.01)) for process in processes]


def wait_for_port(port: int, limit_s: float = 60) -> None:
    """Wait until a process accepts connections at a port of this machine."""

    def is_open() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    wait_for(is_open, limit_s, f"port {port} opens")
