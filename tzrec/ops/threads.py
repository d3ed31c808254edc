"""Run a compiled kernel on several threads.

numba's own parallel loops would bring a second pool of OpenMP threads, which takes the cores from torch's. Kernels
release the GIL, so plain threads do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def run_parts(function: Callable[..., Any], parts: Sequence[tuple[Any, ...]]) -> None:
    """Call a function with the arguments of every part, the first on this thread; return when all are done."""
    rest = [_pool(len(parts) - 1).submit(function, *arguments) for arguments in parts[1:]]
    for arguments in parts[:1]:
        function(*arguments)
    for future in rest:
        future.result()


@functools.cache
def _pool(num_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_threads, thread_name_prefix="kernel")
