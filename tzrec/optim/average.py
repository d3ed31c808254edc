"""An exponential moving average of the dense parameters (Polyak and Juditsky, 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tzrec.protos.eval_pb2 import EvalConfig
from tzrec.protos.export_pb2 import ExportConfig
from tzrec.protos.optimizer_pb2 import DenseOptimizer

PART = "dense_ema"
"""The directory of a checkpoint that holds it."""


def uses_average(section: EvalConfig | ExportConfig, dense: DenseOptimizer) -> bool:
    """Whether evaluation, or export and prediction, take the average instead of the trained parameters."""
    return bool(section.use_dense_ema) if section.HasField("use_dense_ema") else dense.HasField("ema")


class MovingAverage:
    """`average = decay * average + (1 - decay) * parameter` after each step; it begins with the parameters as they are.

    Attributes:
        values: the average, by parameter.
    """

    def __init__(self, params: Mapping[str, Tensor], decay: float) -> None:
        self._params = [param.detach() for param in params.values()]
        self.values = {name: param.detach().clone() for name, param in params.items()}
        self._mix = get_ema_multi_avg_fn(decay)

    def update(self) -> None:
        """A step has been taken."""
        self._mix(list(self.values.values()), self._params, None)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While entered, the model computes with the average."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for param, value in zip(self._params, self.values.values(), strict=True):
            kept = param.clone()
            param.copy_(value)
            value.copy_(kept)
