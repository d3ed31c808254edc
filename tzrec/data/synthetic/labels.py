"""Labels of synthetic rows: drawn from their signal, for the tasks of a config."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.options import task_rule
from tzrec.config.schema import descriptor_of
from tzrec.data.synthetic.cells import FloatArray
from tzrec.protos.options_pb2 import VALUES
from tzrec.protos.pipeline_pb2 import EasyRecConfig

STRENGTH = 2.0
"""Standard deviation of the planted signal, in logits."""


@dataclass(frozen=True)
class _LabelSpec:
    """Values that a model expects in a label column; 0 wherever the label `condition` is 0."""

    num_class: int = 1
    is_number: bool = False
    condition: str = ""


def make_labels(config: EasyRecConfig, signal: FloatArray, rng: np.random.Generator) -> dict[str, pa.Array]:
    """Draw label columns: integers for classes, floats for regression; 0 outside of the space of a task."""
    specs = {name: _LabelSpec() for name in config.data_config.label_fields} | dict(_label_specs(config))
    labels = {name: _label(spec, signal, rng) for name, spec in specs.items()}
    return {
        name: pa.array(values * (labels[spec.condition] > 0) if (spec := specs[name]).condition else values)
        for name, values in labels.items()
    }


def _label(spec: _LabelSpec, signal: FloatArray, rng: np.random.Generator) -> npt.NDArray[Any]:
    noisy = STRENGTH * signal + rng.logistic(size=len(signal))  # its sign is Bernoulli(sigmoid(STRENGTH * signal))
    if spec.is_number:
        return noisy.astype(np.float32)
    if spec.num_class <= 2:
        return (noisy > 0.5).astype(np.int64)
    edges = np.quantile(noisy, np.linspace(0, 1, spec.num_class + 1)[1:-1])
    return np.searchsorted(edges, noisy).astype(np.int64)


def _label_specs(config: EasyRecConfig) -> Iterator[tuple[str, _LabelSpec]]:
    """Yield the labels of the task towers, or that of a model with a single task."""
    model = config.model_config
    towers = list(_with_label(model))
    for tower in towers:
        yield (
            tower.label_name,
            _LabelSpec(tower.num_class, _is_number(tower), getattr(tower, "task_space_indicator_label", "")),
        )
    if not towers and config.data_config.label_fields:
        yield config.data_config.label_fields[0], _LabelSpec(model.num_class, _is_number(model))


def _is_number(task: Any) -> bool:
    members = (registry.oneof_member(loss, "loss") for loss in task.losses)
    return any(task_rule(descriptor_of(member[1])).prediction == VALUES for member in members if member)


def _with_label(message: Message) -> Iterator[Any]:
    """Yield the nested messages that name a label."""
    if "label_name" in message.DESCRIPTOR.fields_by_name:
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for inner in value if field.is_repeated else [value]:
                yield from _with_label(inner)
