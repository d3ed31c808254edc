"""Environment of this process: variables of torchrun and the shell, and the cores and memory that it may use.

The only module that reads os.environ. Limits are those of the machine and of the cgroups (containers, systemd, Slurm)
in which the process runs, version 1 and 2, from its own cgroup up to the root.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tzrec.errors import UsageError

OPENMP_SPIN_COUNT = 1000
"""Rounds that an idle OpenMP thread spins unless the config says otherwise: free alone, and short beside others."""
_SPIN_VARIABLE = "GOMP_SPINCOUNT"
_GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"
_WAIT_VARIABLES = ("OMP_WAIT_POLICY", _SPIN_VARIABLE)
_ROOT = Path("/")


@dataclass(frozen=True)
class RankInfo:
    """This process among its peers, as set by torchrun; a single rank without torchrun.

    Attributes:
        rank: number of this process among all.
        world_size: number of processes.
        local_rank: number of this process on its machine.
        local_world_size: processes on this machine.
        launched: torchrun started this process.
    """

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    launched: bool

    @property
    def is_main(self) -> bool:
        return self.rank == 0


@dataclass(frozen=True)
class StoreAddress:
    """Address of the store in which the ranks of a run find each other.

    Attributes:
        host: name or address.
        port: number of the port.
        is_held_by_agent: the agent of torchrun holds the store; otherwise rank 0 does.
    """

    host: str
    port: int
    is_held_by_agent: bool

    def __str__(self) -> str:
        holder = "the agent of torchrun on the host of rank 0" if self.is_held_by_agent else "rank 0"
        return f"{self.host}:{self.port} (MASTER_ADDR:MASTER_PORT, the store of {holder})"


def rank_info() -> RankInfo:
    """Read RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE.

    Raises:
        UsageError: they are not numbers, or RANK is not below WORLD_SIZE.
    """
    info = RankInfo(
        rank=_number("RANK", 0),
        world_size=_number("WORLD_SIZE", 1),
        local_rank=_number("LOCAL_RANK", 0),
        local_world_size=_number("LOCAL_WORLD_SIZE", 1),
        launched="RANK" in os.environ,
    )
    if info.rank >= info.world_size:
        raise UsageError(f"RANK={info.rank} is not below WORLD_SIZE={info.world_size}; torchrun sets both")
    return info


def store_address() -> StoreAddress:
    """Read MASTER_ADDR and MASTER_PORT, and from TORCHELASTIC_USE_AGENT_STORE the holder of the store.

    Raises:
        UsageError: RANK is set without them, or the port is not a number of a port.
    """
    host, port = os.environ.get("MASTER_ADDR", ""), _number("MASTER_PORT", 0)
    if not host or not 0 < port < 2**16:
        raise UsageError(
            f"MASTER_ADDR={host!r} and MASTER_PORT={port} are not an address; together with RANK, set them to the host "
            "of rank 0 and a free port of it. torchrun does so"
        )
    return StoreAddress(host, port, os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True")


def gloo_interface() -> str:
    """Read GLOO_SOCKET_IFNAME, the network interface that gloo uses; empty for the address of the host name."""
    return os.environ.get("GLOO_SOCKET_IFNAME", "")


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise UsageError(f"the environment variable {name}={text!r} is not a whole number; torchrun sets it")
    return int(text)


def visible_gpus() -> list[str] | None:
    """Read CUDA_VISIBLE_DEVICES, the GPUs that this process may use; None if it may use all."""
    text = os.environ.get(_GPU_VARIABLE)
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def child_environment(gpu: str = "") -> dict[str, str]:
    """Return the environment of a process to start.

    Args:
        gpu: the only GPU that it may use; "" for those of this process.
    """
    ranks = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    own = {name: value for name, value in os.environ.items() if name not in ranks}
    if num_set := _spin.num_set:  # set for this process, whose child decides for itself
        own = {name: value for name, value in own.items() if (name, value) != (_SPIN_VARIABLE, str(num_set))}
    return own | ({_GPU_VARIABLE: gpu} if gpu else {})


def silence_native_warnings() -> None:
    """Set TORCH_CPP_LOG_LEVEL unless the shell has: for a lost rank torch prints stacks of C++. Before its import."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def silence_mlflow() -> None:
    """Set MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT unless the shell has: standard output belongs to the command."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


def use_system_memory_for_arrow() -> None:
    """Set ARROW_DEFAULT_MEMORY_POOL to "system" unless the shell has. Before the import of pyarrow.

    Pages and windows are large, and freed by other threads than those that read them: the pool that is the default
    gives such memory back to the system and asks for it again, which can double the processor time of reading.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def cache_dir() -> Path:
    """Return the folder of tzrec for files that can be deleted at any time: in XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tzrec"


def log_level() -> str:
    """Read LOG_LEVEL, the level of the log lines.

    Raises:
        UsageError: it is not the name of a level.
    """
    level = os.environ.get("LOG_LEVEL", "INFO").upper()
    if level not in _LOG_LEVELS:
        raise UsageError(f"LOG_LEVEL is {level!r}; set it to one of {', '.join(_LOG_LEVELS)}")
    return level


def is_terminal_dumb() -> bool:
    """Return True if TERM says that the terminal cannot move its cursor."""
    return os.environ.get("TERM", "") == "dumb"


_LOG_LEVELS = ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class OpenMPSpin:
    """Rounds that an idle thread of GNU OpenMP spins before it sleeps.

    Attributes:
        num_wanted: rounds that the config asks for.
        num_set: rounds set in this process before torch was imported; None if they were not set.
        shell: variables of the shell that decide instead, as `OMP_WAIT_POLICY=passive`; empty for none.
    """

    num_wanted: int = OPENMP_SPIN_COUNT
    num_set: int | None = None
    shell: str = ""

    @property
    def is_late(self) -> bool:
        """True if torch was imported before the wanted rounds could be set."""
        return not self.shell and self.num_set != self.num_wanted

    def __str__(self) -> str:
        if self.shell:
            return f"OpenMP waits as the shell says ({self.shell})"
        rounds = "for OpenMP's default" if self.num_set is None else f"{self.num_set:,} rounds"
        return f"OpenMP spins {rounds}"


_spin = OpenMPSpin(shell=" ".join(f"{name}={os.environ[name]}" for name in _WAIT_VARIABLES if name in os.environ))


def openmp_spin() -> OpenMPSpin:
    """Return the spin of this process's OpenMP threads."""
    return _spin


def set_openmp_spin(num_rounds: int | None = None) -> None:
    """Limit the spinning of idle OpenMP threads, unless the shell says otherwise.

    OpenMP reads the limit when torch is imported. By default a thread that waits for the others spins for milliseconds
    before it sleeps. Beside another busy process it thereby takes the core from the very thread that it waits for.

    Args:
        num_rounds: 0 sleeps at once. Default: `OPENMP_SPIN_COUNT`.
    """
    global _spin
    num_rounds = OPENMP_SPIN_COUNT if num_rounds is None else num_rounds
    num_set = _spin.num_set
    if not _spin.shell and "torch" not in sys.modules:
        num_set = num_rounds
        os.environ[_SPIN_VARIABLE] = str(num_rounds)
    _spin = OpenMPSpin(num_rounds, num_set, _spin.shell)


def available_cpus(root: Path = _ROOT) -> int:
    """Count the cores that this process may keep busy: those of its affinity, at most its CPU quota.

    A quota that is no whole number is rounded, half a core up; the result is at least 1.

    Args:
        root: directory that contains proc and sys.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = cpu_quota(root)
    return cores if quota >= cores else max(1, math.floor(quota + 0.5))


def cpu_share() -> int:
    """Share of this rank of the cores that this machine's ranks may use."""
    return max(1, available_cpus() // rank_info().local_world_size)


def cpu_quota(root: Path = _ROOT) -> float:
    """Return the cores' worth of processor time that the cgroups of this process allow; infinity without a quota."""
    quotas = [math.inf]
    for directory in _cgroups("cpu", root):
        words = _read(directory / "cpu.max").split()  # version 2: "max 100000" or "50000 100000"
        if not words:
            words = [_read(directory / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        if words[0].isdecimal():  # "max" and -1 mean no quota
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas)


def available_memory(root: Path = _ROOT) -> float:
    """Return the bytes that this process can still allocate: what is free, at most what its cgroups leave.

    Pages of files that the kernel can drop count as free.

    Args:
        root: directory that contains proc and sys.

    Returns:
        Number of bytes; infinity if the system does not tell.
    """
    free = _fields(root / "proc/meminfo", ":").get("MemAvailable")
    limits = [math.inf if free is None else 1024 * free]
    for directory in _cgroups("memory", root):
        stat = _fields(directory / "memory.stat")
        if used := _read(directory / "memory.current"):
            names, prefix = ["memory.max", "memory.high"], ""
        else:
            used = _read(directory / "memory.usage_in_bytes")
            names, prefix = ["memory.limit_in_bytes"], "total_"
        droppable = sum(stat.get(f"{prefix}{state}_file", 0) for state in ("active", "inactive"))
        for limit in (_read(directory / name).strip() for name in names):
            if limit.isdecimal():
                limits.append(max(0, int(limit) - int(used) + droppable))
    return min(limits)


def _cgroups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the directories of this process's cgroups that may limit a controller, from its own to the outermost."""
    mounts = [_Mount.parse(line) for line in _read(root / "proc/self/mountinfo").splitlines()]
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, names, own = line.split(":", 2)
        controllers = [name for name in names.split(",") if name]  # none: the hierarchy of version 2
        for mount in mounts:
            is_second_version = mount.kind == "cgroup2" and not controllers
            is_first_version = mount.kind == "cgroup" and controller in mount.options and controller in controllers
            if is_first_version or is_second_version:
                path = PurePosixPath(own)
                # a container may see only its own cgroup, mounted under another path
                inner = path.relative_to(mount.origin) if path.is_relative_to(mount.origin) else PurePosixPath()
                yield from (root / mount.point / part for part in (inner, *inner.parents) if ".." not in part.parts)


@dataclass(frozen=True)
class _Mount:
    """A line of mountinfo: the cgroup `origin` of a hierarchy is the directory `point`, relative to the root."""

    origin: str
    point: str
    kind: str
    options: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> _Mount:
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        origin, point = left.split(" ")[3:5]
        return cls(origin, point.lstrip("/"), kind, tuple(options.split(",")))


def _fields(path: Path, separator: str = " ") -> dict[str, int]:
    """Read lines of a name and a number."""
    pairs = (line.partition(separator) for line in _read(path).splitlines())
    return {name: int(value.split()[0]) for name, _, value in pairs}


def _read(path: Path) -> str:
    """Read a file of the kernel; empty if it does not exist here or may not be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
