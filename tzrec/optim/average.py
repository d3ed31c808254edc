"""Exponential moving average of the dense parameters (Polyak and Juditsky, 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tzrec.protos.eval_pb2 import EvalConfig
from tzrec.protos.export_pb2 import ExportConfig
from tzrec.protos.optimizer_pb2 import DenseOptimizer

EMA_DIR = "dense_ema"
"""Directory of the average in a checkpoint."""


def uses_average(section: EvalConfig | ExportConfig, dense: DenseOptimizer) -> bool:
    """True if evaluation, or export and prediction, use the average instead of the trained parameters."""
    return bool(section.use_dense_ema) if section.HasField("use_dense_ema") else dense.HasField("ema")


class MovingAverage:
    """`average = decay * average + (1 - decay) * parameter` after each step, initialized with the parameters.

    Attributes:
        values: the average, by parameter.
    """

    def __init__(self, params: Mapping[str, Tensor], decay: float) -> None:
        self._params = [param.detach() for param in params.values()]
        self.values = {name: param.detach().clone() for name, param in params.items()}
        self._update = get_ema_multi_avg_fn(decay)

    def update(self) -> None:
        """Update the average after an optimizer step."""
        self._update(list(self.values.values()), self._params, None)

    @contextmanager
    def average_parameters(self) -> Iterator[None]:
        """Context manager in which the model computes with the average."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for param, value in zip(self._params, self.values.values(), strict=True):
            trained = param.clone()
            param.copy_(value)
            value.copy_(trained)
