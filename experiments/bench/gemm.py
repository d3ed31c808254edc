"""Measure the rate of matrix products in the shapes of the benchmark's model: GFLOP/s as a JSON line."""

from __future__ import annotations

import json
import time

import torch

SHAPES = ((8192, 240, 512), (8192, 512, 256), (8192, 256, 128))
"""(M, K, N) of the expert layers."""


def rate(dtype: torch.dtype) -> float:
    """GFLOP/s; the time of each shape is the best of ten."""
    operations = seconds = 0.0
    for m, k, n in SHAPES:
        a, b = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype)
        times = []
        for _ in range(12):
            start = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - start)
        operations += 2 * m * k * n
        seconds += min(times[2:])
    return operations / seconds / 1e9


def main() -> None:
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # routes fp32 products to oneDNN
    print(json.dumps({"fp32": rate(torch.float32), "bf16": rate(torch.bfloat16)}))


if __name__ == "__main__":
    main()
