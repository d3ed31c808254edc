"""Environment variables of torchrun and the shell; the only module that reads os.environ."""

from __future__ import annotations

import os
from dataclasses import dataclass


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


def rank_info() -> RankInfo:
    """Read RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE."""
    get = os.environ.get
    return RankInfo(
        rank=int(get("RANK", "0")),
        world_size=int(get("WORLD_SIZE", "1")),
        local_rank=int(get("LOCAL_RANK", "0")),
        local_world_size=int(get("LOCAL_WORLD_SIZE", "1")),
        launched="RANK" in os.environ,
    )


def log_level() -> str:
    """Read LOG_LEVEL, the level of the log lines."""
    return os.environ.get("LOG_LEVEL", "INFO").upper()


def cores() -> int:
    """Count the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
