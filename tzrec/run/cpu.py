"""CPU settings of a process, applied before the first tensor: threads, library of fp32 matrix products, allocator.

They change results only by fp32 rounding. `configure_cpu` sets them; as text they are a line of the log.
"""

from __future__ import annotations

import ctypes
import functools
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from tzrec import env
from tzrec.log import logger
from tzrec.protos import train_pb2
from tzrec.run.matmul import Backend, Processor, chosen_backend, use_backend


@dataclass(frozen=True)
class CpuSettings:
    """CPU settings in force.

    Attributes:
        num_threads: threads of this rank.
        cpu_quota: cores' worth of processor time that a container allows; infinity without a quota.
        backend: library of fp32 matrix products.
        origin: reason for that library, for the log.
        processor: model of the processor.
        is_memory_kept: the process keeps freed memory.
    """

    num_threads: int
    cpu_quota: float
    backend: Backend
    origin: str
    processor: Processor
    is_memory_kept: bool

    def to_json(self) -> dict[str, str]:
        """Return what rounding depends on, for the manifest of a checkpoint."""
        return {
            "fp32_matmul": self.backend.value,
            "processor": str(self.processor),
            "threads": str(self.num_threads),
        }

    def __str__(self) -> str:
        """E.g. `2 threads/rank, fp32 matrix products by oneDNN (AMD EPYC 25/17 AVX-512), OpenMP spins 1,000 rounds`."""
        quota = "" if math.isinf(self.cpu_quota) else f" (CPU quota of {self.cpu_quota:g} cores)"
        parts = [
            f"{self.num_threads} thread{'s' if self.num_threads > 1 else ''}/rank{quota}",
            f"fp32 matrix products by {self.backend.value} ({self.origin})",
            str(env.openmp_spin()),
        ]
        return ", ".join([*parts, "freed memory kept"] if self.is_memory_kept else parts)


def configure_cpu(config: train_pb2.TrainConfig) -> CpuSettings:
    """Set threads, matrix library and allocator of this process."""
    num_threads = config.num_threads or max(1, env.available_cpus() // env.rank_info().local_world_size)
    torch.set_num_threads(num_threads)
    if env.openmp_spin().is_late:
        _warn_of_late_spin()
    processor = Processor.read()
    backend = chosen_backend(config.cpu_matmul, processor)
    origin = str(processor) if config.cpu_matmul == train_pb2.MATMUL_AUTO else "train_config.cpu_matmul"
    backend, origin = _use(backend, origin, processor)
    return CpuSettings(num_threads, env.cpu_quota(), backend, origin, processor, keep_freed_memory())


def follow_checkpoint(settings: CpuSettings, config: train_pb2.TrainConfig, saved: Mapping[str, str]) -> CpuSettings:
    """Keep the matrix library of a resumed checkpoint, unless the config names one, and log what differs from it.

    Args:
        settings: those that `configure_cpu` has set.
        config: of the run.
        saved: `CpuSettings.to_json` of the checkpoint; empty if it does not know.
    """
    if not saved:
        return settings
    now = settings.to_json()
    saved = {**now, **saved}
    if saved["processor"] != now["processor"]:
        logger.info(
            "cpu    the checkpoint is of another processor, %s; on this one, %s, results may differ by rounding",
            saved["processor"], settings.processor,
        )  # fmt: skip
    if saved["threads"] != now["threads"]:
        logger.info(
            "cpu    the checkpoint was trained with %s threads/rank, this run has %s: results may differ by rounding "
            "(train_config.num_threads sets the number)",
            saved["threads"], now["threads"],
        )  # fmt: skip
    backend = next((known for known in Backend if known.value == saved["fp32_matmul"]), settings.backend)
    if config.cpu_matmul == train_pb2.MATMUL_AUTO:
        backend, origin = _use(backend, "as in the checkpoint", settings.processor)
        return replace(settings, backend=backend, origin=origin)
    if backend is not settings.backend:
        logger.info(
            "cpu    train_config.cpu_matmul replaces %s of the checkpoint by %s: products may differ by rounding",
            backend.value, settings.backend.value,
        )  # fmt: skip
    return settings


def _use(backend: Backend, origin: str, processor: Processor) -> tuple[Backend, str]:
    """Use a library if it computes in fp32 here, else the default; return it with the reason."""
    if use_backend(backend):
        return backend, origin
    logger.warning(
        "cpu    fp32 matrix products by torch's default instead of oneDNN (%s): on this processor, %s, oneDNN is "
        "missing or rounds to bf16",
        origin, processor,
    )  # fmt: skip
    return Backend.DEFAULT, f"{backend.value} does not compute in fp32 here"


@functools.cache
def _warn_of_late_spin() -> None:
    """Warn once of a process that imported torch first."""
    spin = env.openmp_spin()
    logger.warning(
        "cpu    %s, not %s: torch was imported before the config was read. Beside other busy processes training is up "
        "to 25 times slower; start Python with GOMP_SPINCOUNT=%s, or import torch after the first call of tzrec",
        spin, f"{spin.num_wanted:,}", spin.num_wanted,
    )  # fmt: skip


def keep_freed_memory() -> bool:
    """Make glibc keep the memory of freed tensors instead of returning it to the kernel at each step.

    Above its mmap threshold glibc returns every freed tensor to the kernel, which zeroes the pages again for the next
    step; this takes a third of an MMoE step. Returns False if the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # M_* of malloc.h
    megabyte = 1 << 20
    return all(
        (
            mallopt(mmap_threshold, 32 * megabyte),  # the largest value that glibc accepts
            mallopt(trim_threshold, 1024 * megabyte),
            mallopt(top_pad, 64 * megabyte),
        )
    )


def release_freed_memory() -> None:
    """Return the memory kept by `keep_freed_memory` to the kernel, when training has stopped."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
