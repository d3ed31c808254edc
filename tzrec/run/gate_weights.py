"""Mean weights that the gates of a multi-task model give to its experts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from tzrec.modules.experts import MixtureOfExperts
from tzrec.modules.extraction import Extraction


@dataclass
class GateWeights:
    """Weights of one gate over the experts that it mixes.

    Attributes:
        layer: path of the mixture in the model.
        gate: number of the gate, or `shared`.
        total: sum of the weights over rows, `(N,)`.
        num_rows: rows that were added.
    """

    layer: str
    gate: str
    total: list[float] = field(default_factory=list)
    num_rows: int = 0

    def add(self, logits: torch.Tensor) -> None:
        """Add the weights of rows, from logits `(B, N)`."""
        weights = torch.softmax(logits.double(), dim=1).sum(0).tolist()
        self.total = [a + b for a, b in zip(self.total or [0.0] * len(weights), weights, strict=True)]
        self.num_rows += len(logits)

    def to_json(self, tasks: Sequence[str]) -> dict[str, object]:
        """Convert to JSON values; a gate is named by its task if there is one for each."""
        name = tasks[int(self.gate)] if self.gate.isdigit() and int(self.gate) < len(tasks) else self.gate
        return {"layer": self.layer, "gate": name, "weights": [value / self.num_rows for value in self.total]}


@contextmanager
def observe_gates(model: nn.Module) -> Iterator[list[GateWeights]]:
    """Collect the weights of all gates of a model in the forward passes inside of the context."""
    observed: list[GateWeights] = []
    handles = []
    for layer, gate, module in _gates(model):
        weights = GateWeights(layer, gate)
        observed.append(weights)
        handles.append(module.register_forward_hook(lambda _, inputs, logits, weights=weights: weights.add(logits)))
    try:
        yield observed
    finally:
        for handle in handles:
            handle.remove()


def _gates(model: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    for path, module in model.named_modules():
        if isinstance(module, MixtureOfExperts):
            yield from ((path, str(number), gate) for number, gate in enumerate(module.gates))
        if isinstance(module, Extraction):
            yield from ((path, str(number), gate) for number, gate in enumerate(module.task_gates))
            if module.shared_gate is not None:
                yield path, "shared", module.shared_gate
