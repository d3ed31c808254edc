"""Pareto: weights of the tasks' losses from their gradients, computed at every step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from fbgemm_gpu.split_table_batched_embeddings_ops_common import PoolingMode
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torchrec import KeyedJaggedTensor
from torchrec.distributed.model_parallel import DistributedModelParallel

from tzrec.optim.min_norm import min_norm
from tzrec.tables.lookup_kernel import SHARDED, lookup_kernels
from tzrec.torchrec_adapter import collection_lookups, without_ddp_reduction


class Pareto:
    """Weights w of K losses that minimize `|sum_k w_k g_k|` with `sum_k w_k = 1` and `w_k >= lower_k`.

    `g_k` is the gradient of loss k by all trained values, averaged over the ranks: the dense parameters and every value
    of every table. The fused kernels update their tables as soon as they get a gradient, so it is taken in front of
    them, by the vectors they return, and summed over the rows of the tables here. Where no weights make the sum vanish,
    a step along it lowers all losses at once. Lin et al., "A Pareto-Efficient Algorithm for Multiple Objective
    Optimization in E-Commerce Recommendation", RecSys 2019.

    It runs one more backward pass per loss, and averages the gradients of the dense part of each over the ranks.

    Args:
        model: a sharded model with its wrappers.
        dense: its parameters that are not tables.
        lower: lower bounds of the weights.
    """

    def __init__(self, model: DistributedModelParallel, dense: Iterable[nn.Parameter], lower: Sequence[float]) -> None:
        trained = [kernel for kernel in lookup_kernels(model.module) if not kernel.frozen]
        self._sharded = [(kernel.module, _LookupRecord(kernel.module)) for kernel in trained if not kernel.replicated]
        self._replicated = [parameter for parameter in dense if parameter.requires_grad]
        self._replicated += [kernel.module.emb_module.weights for kernel in trained if kernel.replicated]
        # A rank that holds no table of a collection still has to take part in sending gradients back, and does so only
        # where it is asked for some.
        collections = [module for module in model.modules() if isinstance(module, SHARDED)]
        lookups = [lookup for collection in collections for lookup in collection_lookups(collection)]
        self._exchanged = [_LookupRecord(lookup) for lookup in lookups]
        modules = (*model.modules(), *lookups)
        self._wrappers = [module for module in modules if isinstance(module, DistributedDataParallel)]
        self._lower = torch.tensor(lower, dtype=torch.float64).numpy()

    def weights(self, losses: Sequence[Tensor]) -> list[float]:
        """Compute the weights of the losses of one forward pass; all ranks call it and get the same ones.

        Args:
            losses: of this rank, 0-dimensional, such that their mean over ranks is that over all rows.
        """
        outputs = [record.output for _, record in self._sharded]
        sources = [*self._replicated, *outputs, *(record.output for record in self._exchanged)]
        with without_ddp_reduction(self._wrappers):
            gradients = list(_gradients(losses, sources))  # K x sources
        by_source = iter([torch.stack(stacked) for stacked in zip(*gradients, strict=True)])  # (K, ...) each
        replicated = [next(by_source) for _ in self._replicated]
        sharded = [
            gradient
            for kernel, record in self._sharded
            for gradient in _by_table_row(kernel, record.ids, next(by_source))
        ]
        gram = _inner_products(sharded, len(losses), losses[0])
        if dist.get_world_size() > 1:
            dist.all_reduce(gram)
            for gradient in replicated:
                dist.all_reduce(gradient)
                gradient /= dist.get_world_size()
        gram += _inner_products(replicated, len(losses), losses[0])
        if not torch.isfinite(gram).all():  # the step will not be applied, see GradientWatch
            return [1 / len(losses)] * len(losses)
        return [float(weight) for weight in min_norm(gram.cpu().numpy(), self._lower)]


class _LookupRecord:
    """Input and output of the last forward pass of a lookup with gradients.

    Attributes:
        ids: of all its features.
        output: the vectors, `(B, sum of widths)` or one for each id.
    """

    ids: KeyedJaggedTensor
    output: Tensor

    def __init__(self, lookup: nn.Module) -> None:
        lookup.register_forward_hook(self._store)

    def _store(self, module: nn.Module, inputs: tuple[KeyedJaggedTensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            (self.ids,), self.output = inputs, output


def _gradients(losses: Sequence[Tensor], sources: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients of each loss by each source; zeros where it does not depend on the source."""
    requests = {id(request): (request, request.dummy_tensor) for request in _exchange_requests(losses)}
    for loss in losses:
        gradients = torch.autograd.grad(loss, sources, retain_graph=True, allow_unused=True)
        for request, link in requests.values():  # torchrec detaches its exchanges from the graph during a pass
            request.dummy_tensor = link
        yield [
            torch.zeros_like(source) if gradient is None else gradient
            for gradient, source in zip(gradients, sources, strict=True)
        ]


def _exchange_requests(losses: Sequence[Tensor]) -> Iterator[Any]:
    """torchrec's exchanges between the ranks in the graphs of the losses, some of them several times."""
    nodes: list[Any] = [loss.grad_fn for loss in losses]
    visited = set()
    while nodes:
        node = nodes.pop()
        if node not in visited:
            visited.add(node)
            nodes += [parent for parent, _ in node.next_functions if parent is not None]
            if hasattr(node, "myreq"):
                yield node.myreq


def _inner_products(gradients: Iterable[Tensor], count: int, like: Tensor) -> Tensor:
    """Inner products of K gradients, given in parts of `(K, ...)` each -> float64 `(K, K)`."""
    gram = torch.zeros(count, count, dtype=torch.float64, device=like.device)
    for gradient in gradients:
        flat = gradient.reshape(count, -1).double()
        gram += flat @ flat.T
    return gram


def _by_table_row(kernel: Any, ids: KeyedJaggedTensor, gradients: Tensor) -> Iterator[Tensor]:
    """Gradients by the output of a kernel, `(K, B, sum of widths)` -> by the rows it looked up in each table,
    `(K, R, D)`.
    """
    features = _by_id(kernel, ids, gradients)
    for table in kernel.config.embedding_tables:
        parts = [next(features) for _ in table.feature_names]
        rows, index = torch.unique(torch.cat([feature_ids for feature_ids, _ in parts]), return_inverse=True)
        values = torch.cat([value for _, value in parts], dim=1)  # (K, N, D)
        yield values.new_zeros(len(values), len(rows), values.shape[2]).index_add_(1, index, values)


def _by_id(kernel: Any, ids: KeyedJaggedTensor, gradients: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Per feature its ids `(N,)` and the gradients by their rows `(K, N, D)`."""
    spans = list(pairwise(ids.offset_per_key()))
    pooling = kernel.emb_module.pooling_mode
    if pooling == PoolingMode.NONE:  # one vector for each id
        yield from ((ids.values()[start:stop], gradients[:, start:stop]) for start, stop in spans)
        return
    sizes, weights = ids.lengths().view(len(spans), -1), ids.weights_or_none()  # (F, B)
    widths = [table.local_cols for table in kernel.config.embedding_tables for _ in table.feature_names]
    columns = gradients.split(widths, dim=2)
    for (start, stop), size, by_bag in zip(spans, sizes, columns, strict=True):
        if pooling == PoolingMode.MEAN:
            by_bag = by_bag / size.clamp(min=1)[:, None]
        values = by_bag.repeat_interleave(size, dim=1)
        yield ids.values()[start:stop], values if weights is None else values * weights[start:stop, None]
