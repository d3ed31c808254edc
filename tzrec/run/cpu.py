"""CPU settings of a process, applied before the first tensor: threads, library of fp32 matrix products, allocator.

They change results only by fp32 rounding. `configure_cpu` returns all of them as a log line.
"""

from __future__ import annotations

import ctypes
import platform
import time
from dataclasses import dataclass

import torch

from tzrec import env
from tzrec.protos import train_pb2

_PROBE_SIDE = 512
_ONEDNN_GAIN = 1.15
"""Minimum speed-up for choosing oneDNN, so that noise does not change the choice between two runs."""
_FP32_ERROR = 2e-6
"""Relative error of an fp32 product of this size: 2.4e-7 with oneDNN, 4e-7 with MKL; bf16 inputs give 4e-3."""


@dataclass(frozen=True)
class MatmulRate:
    """Speed and accuracy of one matrix library: fp32 GFLOP/s, relative error against float64."""

    gflops: float
    error: float


def configure_cpu(config: train_pb2.TrainConfig) -> str:
    """Set threads, matrix library and allocator of this process.

    Returns:
        The log line, e.g. `2 threads/rank, fp32 matrix products by oneDNN (380 GFLOP/s, error 2.4e-07)`.
    """
    threads = config.num_threads or max(1, env.available_cpus() // env.rank_info().local_world_size)
    torch.set_num_threads(threads)
    parts = [f"{threads} thread{'s' if threads > 1 else ''}/rank", _choose_matmul(config.cpu_matmul)]
    if keep_freed_memory():
        parts.append("freed memory kept")
    return ", ".join(parts)


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


def _choose_matmul(choice: int) -> str:
    if not torch.backends.mkldnn.is_available() or choice == train_pb2.MATMUL_DEFAULT:
        return "fp32 matrix products by torch's default"
    default = _measure("none")
    onednn = _measure("bf16")  # routes fp32 products to oneDNN, which without AMX still computes them in fp32
    is_faster = onednn.gflops > _ONEDNN_GAIN * default.gflops or choice == train_pb2.MATMUL_ONEDNN
    if is_faster and onednn.error < _FP32_ERROR:
        name, rate = "oneDNN", onednn
    else:
        _set_precision("none")
        name, rate = "torch's default", default
    return f"fp32 matrix products by {name} ({rate.gflops:.0f} GFLOP/s, error {rate.error:.1e})"


def _set_precision(precision: str) -> None:
    torch.backends.mkldnn.matmul.fp32_precision = precision  # type: ignore[attr-defined]


def _measure(precision: str) -> MatmulRate:
    """Measure the best of five products (P, P) x (P, P) and their error; takes 10 ms, half of it warm-up."""
    _set_precision(precision)
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(_PROBE_SIDE, _PROBE_SIDE, generator=generator)
    right = torch.randn(_PROBE_SIDE, _PROBE_SIDE, generator=generator)
    product = left @ right
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    exact = left.double() @ right.double()
    error = ((product - exact).norm() / exact.norm()).item()
    return MatmulRate(2 * _PROBE_SIDE**3 / best / 1e9, error)
