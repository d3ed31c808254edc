"""AdagradUpdate: exact Adagrad of a kernel's tables on CPU, on all threads, in place of fbgemm's backward pass."""

from __future__ import annotations

import functools
import importlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import PoolingMode
from torch import Tensor
from torchrec import KeyedJaggedTensor

from tzrec.ops import adagrad_rows
from tzrec.ops.adagrad_rows.reference import Lookups, Tables
from tzrec.tables.lookup_kernel import LookupKernel

_MAX_ROWS = 2**31
"""Rows of a table that the kernel can number; fbgemm's has the same limit."""


class AdagradUpdate:
    """Update of the tables of a fused kernel with the gradient of its output: that of fbgemm, bit for bit.

    Args:
        kernel: one that `is_supported`.
    """

    def __init__(self, kernel: LookupKernel) -> None:
        self._module: Any = kernel.module.emb_module
        starts, columns = self._module.weights_offsets, self._module.D_offsets.long()
        assert torch.equal(starts, self._module.momentum1_offsets), "state is stored like the weights"
        self._is_pooled = self._module.pooling_mode != PoolingMode.NONE
        first = columns[:-1] if self._is_pooled else torch.zeros_like(columns[:-1])
        self._features = torch.stack([starts, first, columns.diff()], 1)  # (F, 3)
        self._adagrad_rows = adagrad_rows.select(device="cpu")
        self._loaded = _load_kernel()

    @staticmethod
    def is_supported(kernel: LookupKernel) -> bool:
        """True for Adagrad on CPU with tables and vectors in float32; fbgemm raises for tables of too many rows."""
        module: Any = kernel.module.emb_module if kernel.fused else None
        return (
            module is not None
            and module.optimizer == EmbOptimType.EXACT_ADAGRAD
            and module.weights_host.numel() > 0
            and module.weights_host.dtype is torch.float32
            and module.output_dtype == 0
            and int(module.hash_size_cumsum.diff().max()) < _MAX_ROWS
        )

    @torch.no_grad()
    def __call__(self, ids: KeyedJaggedTensor, gradient: Tensor, lr: float) -> None:
        """Update the rows that were looked up.

        Args:
            ids: input of the kernel.
            gradient: of its output.
            lr: learning rate.
        """
        self._loaded.result()
        module = self._module
        arguments = module.optimizer_args
        if arguments.gradient_clipping:
            gradient = gradient.clamp(-arguments.max_gradient, arguments.max_gradient)
        tables = Tables(module.weights_host.detach(), module.momentum1_host.detach(), self._features)
        offsets = ids.offsets().long()
        lookups = Lookups(ids.values().long(), offsets, self._scales(ids, offsets), self._is_pooled)
        self._adagrad_rows(tables, lookups, gradient, lr, arguments.eps)

    def _scales(self, ids: KeyedJaggedTensor, offsets: Tensor) -> Tensor | None:
        """Factor of each vector in its sum: its weight, or in a mean one divided by the number of ids."""
        if self._is_pooled and ids.weights_or_none() is not None:
            return ids.weights().float()
        if self._module.pooling_mode != PoolingMode.MEAN:
            return None
        lengths = offsets.diff()
        return lengths.double().reciprocal().float().repeat_interleave(lengths)


@functools.cache
def _load_kernel() -> Future[Any]:
    """Load the compiled kernel while data and model are prepared; the first start on a machine compiles it."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="load kernel")
    loaded = executor.submit(importlib.import_module, "tzrec.ops.adagrad_rows.kernel")
    executor.shutdown(wait=False)
    return loaded
