"""Pareto: weights of the tasks' losses from their gradients, anew at every step."""

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
    """The weights w of K losses with the smallest `|sum_k w_k g_k|`, `sum_k w_k = 1` and `w_k >= least_k`.

    `g_k` is the gradient of loss k, averaged over the ranks, by all that learns: the dense parameters and every value
    of every table. The fused kernels learn from a gradient the moment they get it, so it is taken in front of them, by
    the vectors they put out, and added up to rows of the tables here. Where no weights make the sum vanish, a step
    along it lowers all losses at once. Lin et al., "A Pareto-Efficient Algorithm for Multiple Objective Optimization in
    E-Commerce Recommendation", RecSys 2019.

    It takes one more pass backward per loss, and averages that many gradients of the dense part over the ranks.

    Args:
        model: a sharded model with its wrappers.
        dense: its parameters that are no tables.
        least: lower bounds of the weights.
    """

    def __init__(self, model: DistributedModelParallel, dense: Iterable[nn.Parameter], least: Sequence[float]) -> None:
        learning = [kernel for kernel in lookup_kernels(model.module) if not kernel.frozen]
        self._sharded = [(each.module, _Last(each.module)) for each in learning if not each.replicated]
        self._replicated = [each for each in dense if each.requires_grad]
        self._replicated += [each.module.emb_module.weights for each in learning if each.replicated]
        # A rank that holds no table of a collection still has to take part in sending gradients back, and does so only
        # where it is asked for some.
        sharded = [module for module in model.modules() if isinstance(module, SHARDED)]
        lookups = [lookup for module in sharded for lookup in collection_lookups(module)]
        self._exchanged = [_Last(lookup) for lookup in lookups]
        self._wrappers = [each for each in (*model.modules(), *lookups) if isinstance(each, DistributedDataParallel)]
        self._least = torch.tensor(least, dtype=torch.float64).numpy()

    def weights(self, losses: Sequence[Tensor]) -> list[float]:
        """The weights for the losses of one forward pass, 0-dimensional; all ranks call it and get the same ones.

        Args:
            losses: of this rank, such that their mean over ranks is that over all rows.
        """
        outputs = [last.output for _, last in self._sharded]
        sources = [*self._replicated, *outputs, *(last.output for last in self._exchanged)]
        with without_ddp_reduction(self._wrappers):
            gradients = list(_gradients(losses, sources))  # K x sources
        by_source = iter([torch.stack(each) for each in zip(*gradients, strict=True)])  # (K, ...) each
        whole = [next(by_source) for _ in self._replicated]
        own = [each for kernel, last in self._sharded for each in _by_row(kernel, last.ids, next(by_source))]
        gram = _products(own, len(losses), losses[0])
        if dist.get_world_size() > 1:
            dist.all_reduce(gram)
            for each in whole:
                dist.all_reduce(each)
                each /= dist.get_world_size()
        gram += _products(whole, len(losses), losses[0])
        return [float(each) for each in min_norm(gram.cpu().numpy(), self._least)]


class _Last:
    """What a lookup took and gave in its last forward pass with gradients.

    Attributes:
        ids: of all its features.
        output: the vectors, `(B, sum of widths)` or one for each id.
    """

    ids: KeyedJaggedTensor
    output: Tensor

    def __init__(self, lookup: nn.Module) -> None:
        lookup.register_forward_hook(self._remember)

    def _remember(self, module: nn.Module, inputs: tuple[KeyedJaggedTensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            (self.ids,), self.output = inputs, output


def _gradients(losses: Sequence[Tensor], sources: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Of each loss the gradient by each source, zeros where it does not depend on one."""
    requests = {id(each): (each, each.dummy_tensor) for each in _requests(losses)}
    for loss in losses:
        found = torch.autograd.grad(loss, sources, retain_graph=True, allow_unused=True)
        for request, link in requests.values():  # torchrec cuts its exchanges off the graph as it passes them
            request.dummy_tensor = link
        yield [torch.zeros_like(s) if each is None else each for each, s in zip(found, sources, strict=True)]


def _requests(losses: Sequence[Tensor]) -> Iterator[Any]:
    """torchrec's exchanges between the ranks in the graphs of some losses; the same may come twice."""
    todo: list[Any] = [loss.grad_fn for loss in losses]
    seen = set()
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += [each for each, _ in node.next_functions if each is not None]
            if hasattr(node, "myreq"):
                yield node.myreq


def _products(gradients: Iterable[Tensor], count: int, like: Tensor) -> Tensor:
    """Inner products of K gradients that are in parts, `(K, ...)` each -> float64 `(K, K)`."""
    gram = torch.zeros(count, count, dtype=torch.float64, device=like.device)
    for each in gradients:
        flat = each.reshape(count, -1).double()
        gram += flat @ flat.T
    return gram


def _by_row(kernel: Any, ids: KeyedJaggedTensor, gradients: Tensor) -> Iterator[Tensor]:
    """Gradients by the output of a kernel, `(K, B, sum of widths)` -> by the rows it looked up in each table,
    `(K, R, D)`.
    """
    features = _by_id(kernel, ids, gradients)
    for table in kernel.config.embedding_tables:
        parts = [next(features) for _ in table.feature_names]
        rows, place = torch.unique(torch.cat([each for each, _ in parts]), return_inverse=True)
        values = torch.cat([each for _, each in parts], dim=1)  # (K, N, D)
        yield values.new_zeros(len(values), len(rows), values.shape[2]).index_add_(1, place, values)


def _by_id(kernel: Any, ids: KeyedJaggedTensor, gradients: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each feature its ids `(N,)` and the gradients by their rows `(K, N, D)`."""
    spans = list(pairwise(ids.offset_per_key()))
    pooling = kernel.emb_module.pooling_mode
    if pooling == PoolingMode.NONE:  # a vector for each id
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
