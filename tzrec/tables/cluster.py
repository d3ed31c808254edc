"""Ranks that the tables of a model are placed on: those of this process group, or those of a cluster elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist

from tzrec import env


@dataclass(frozen=True)
class Cluster:
    """Number and memory of ranks.

    Attributes:
        num_ranks: number of ranks, one for each GPU, or process on CPU.
        ranks_per_host: number of ranks on each host.
        device: "cpu" or "cuda".
        memory: bytes of memory of each rank: of its GPU, or its part of the host on CPU.
        host_memory: bytes of memory of the host for each rank.
        batch_size: rows of each rank in a step.
        is_current: True for the ranks of this process group, which then plan together.
    """

    num_ranks: int
    ranks_per_host: int = 8
    device: str = "cpu"
    memory: int = 32 * 10**9
    host_memory: int = 128 * 10**9
    batch_size: int = 1024
    is_current: bool = False

    @classmethod
    def current(cls, device: torch.device, batch_size: int) -> Cluster:
        """Describe the ranks of this process group."""
        local = env.rank_info().local_world_size
        available = env.available_memory()
        host = int(available / local) if available < float("inf") else cls.host_memory
        memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else host
        return cls(dist.get_world_size(), local, device.type, memory, host, batch_size, is_current=True)
