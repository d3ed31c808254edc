"""Adagrad on the rows of embedding tables that a step looked up, on all threads.

fbgemm's kernel sorts and updates on one thread. Here each thread takes some of the tables, or every n-th row of a
large one, so that no two threads write a row. The result does not depend on the number of threads.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from tzrec.ops.adagrad_rows.reference import Lookups, Tables
from tzrec.ops.threads import run_parts

_MIN_VALUES = 1 << 16
"""Values of a gradient below which a second thread costs more than it saves."""


def adagrad_rows(tables: Tables, lookups: Lookups, gradient: Tensor, lr: float, eps: float) -> None:
    """See `tzrec.ops.adagrad_rows.reference`."""
    if not len(lookups.ids):
        return
    from tzrec.ops.adagrad_rows import kernel

    features, offsets = tables.features.numpy(), lookups.offsets.numpy()
    batch_size = (len(offsets) - 1) // len(features)
    jobs = _jobs(features, offsets[::batch_size], torch.get_num_threads())
    gradient = gradient.contiguous()
    scales = np.empty(0, np.float32) if lookups.scales is None else lookups.scales.numpy()
    arrays = (tables.weights.numpy(), tables.sums.numpy(), gradient.numpy().reshape(-1), lookups.ids.numpy(), offsets)
    numbers = (batch_size, gradient.shape[1], lookups.is_pooled, np.float32(lr), float(np.float32(eps)))
    with torch.profiler.record_function("adagrad_rows"):  # profiles see no operation of torch here
        run_parts(kernel.update_rows, [(*arrays, scales, part, *numbers) for part in jobs])


def _jobs(features: np.ndarray, bounds: np.ndarray, num_threads: int) -> list[np.ndarray]:
    """Distribute the tables over threads: for each thread its `jobs`, as `kernel.update_rows` takes them.

    Args:
        features: see `Tables`.
        bounds: first lookup of each feature, and the number of lookups.
        num_threads: the most threads to use.
    """
    tables = []
    for start, group in groupby(range(len(features)), key=lambda feature: features[feature, 0]):
        of_table = list(group)
        first, stop = of_table[0], of_table[-1] + 1
        _, column, width = features[first].tolist()
        if num_values := (bounds[stop] - bounds[first]) * width:
            tables.append((int(num_values), (first, stop, int(start), column, width)))
    total = sum(num_values for num_values, _ in tables)
    num_threads = max(1, min(num_threads, total // _MIN_VALUES))
    pieces = []
    for num_values, table in tables:
        num_parts = 1 if num_threads == 1 else -(-2 * num_threads * num_values // total)  # at most half of a share
        pieces += [(num_values / num_parts, (*table, part, num_parts)) for part in range(num_parts)]
    loads = [0.0] * num_threads
    jobs: list[list[tuple[int, ...]]] = [[] for _ in loads]
    for size, job in sorted(pieces, key=lambda piece: -piece[0]):
        thread = loads.index(min(loads))
        loads[thread] += size
        jobs[thread].append(job)
    return [np.array(part, np.int64) for part in jobs if part]
