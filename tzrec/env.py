"""The only reader of os.environ: what torchrun and the shell tell a process about its place."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class RankInfo:
    """Where this process stands among its peers, as torchrun says it; one rank alone without torchrun."""

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
    """LOG_LEVEL, which changes what is printed and nothing else."""
    return os.environ.get("LOG_LEVEL", "INFO").upper()


def cores() -> int:
    """Processor cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
