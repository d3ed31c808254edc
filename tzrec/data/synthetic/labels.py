"""Labels of made-up rows: what follows from their signal, for the tasks of a config."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from google.protobuf.message import Message

from tzrec.data.synthetic.cells import FloatArray
from tzrec.protos.pipeline_pb2 import EasyRecConfig

STRENGTH = 2.0
"""Standard deviation of the planted signal, in logits."""


@dataclass(frozen=True)
class _Target:
    """What a model expects of a label column."""

    num_class: int = 1
    is_number: bool = False
    only_where: str = ""


def make_labels(config: EasyRecConfig, signal: FloatArray, rng: np.random.Generator) -> dict[str, pa.Array]:
    """Label columns: whole numbers for classes, floats for regression; 0 wherever a task's space says it is not in."""
    targets = {name: _Target() for name in config.data_config.label_fields} | dict(_targets(config))
    made = {name: _label(target, signal, rng) for name, target in targets.items()}
    return {
        name: pa.array(values * (made[target.only_where] > 0) if (target := targets[name]).only_where else values)
        for name, values in made.items()
    }


def _label(target: _Target, signal: FloatArray, rng: np.random.Generator) -> npt.NDArray[Any]:
    noisy = STRENGTH * signal + rng.logistic(size=len(signal))  # its sign is Bernoulli(sigmoid(STRENGTH * signal))
    if target.is_number:
        return noisy.astype(np.float32)
    if target.num_class <= 2:
        return (noisy > 0.5).astype(np.int64)
    edges = np.quantile(noisy, np.linspace(0, 1, target.num_class + 1)[1:-1])
    return np.searchsorted(edges, noisy).astype(np.int64)


def _targets(config: EasyRecConfig) -> Iterator[tuple[str, _Target]]:
    """The labels of the task towers, or that of a model with a single task."""
    model = config.model_config
    towers = list(_with_label(model))
    for tower in towers:
        yield (
            tower.label_name,
            _Target(tower.num_class, _is_number(tower), getattr(tower, "task_space_indicator_label", "")),
        )
    if not towers and config.data_config.label_fields:
        yield config.data_config.label_fields[0], _Target(model.num_class, _is_number(model))


def _is_number(task: Any) -> bool:
    return any(loss.WhichOneof("loss") in ("l2_loss", "huber_loss", "ziln_loss") for loss in task.losses)


def _with_label(message: Message) -> Iterator[Any]:
    """All messages inside one that name a label."""
    if "label_name" in message.DESCRIPTOR.fields_by_name:
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for inner in value if field.is_repeated else [value]:
                yield from _with_label(inner)
