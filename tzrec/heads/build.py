"""Tasks: the heads of a config."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.kwargs import kwargs, shortest
from tzrec.config.metric_names import metric_name
from tzrec.data.batch import Batch
from tzrec.heads.derived import DomainHead, Penalty, Shown
from tzrec.heads.head import Head, Mean, Predictions, TrainMetricFactory, Weighting, local_mean
from tzrec.heads.tower import Towers
from tzrec.losses.base import Loss
from tzrec.metrics.base import Metric
from tzrec.protos import data_pb2, loss_pb2, metric_pb2, model_pb2, pipeline_pb2, tower_pb2

Tower = tower_pb2.TaskTower | tower_pb2.BayesTaskTower | tower_pb2.InterventionTaskTower


class Tasks(OrderedDict[str, Head]):
    """The tasks of a model in the order of its config, by name; one without a name for a single-task model."""

    def towers(self, in_dim: int) -> Towers:
        """Fresh towers on bodies of width `in_dim`."""
        return Towers(list(self.values()), in_dim)

    def show(self, name: str, like: str) -> None:
        """Add a task that is predicted as the task `like` is, but has no losses of its own."""
        model = self[like]
        self[name] = Shown(name, model.label_name, model.num_class, {}, shown_as=model.losses)

    def teach(self, served: str, teacher: str) -> None:
        """Replace the only task by two that learn the same: one that is served, one that exists in training alone."""
        head = self.pop("")
        self[served] = replace(head, name=served)
        self[teacher] = replace(head, name=teacher, in_training=True)

    def penalise(self, name: str, penalty: float | Loss) -> None:
        """Add a loss that is made of what the body returns as `name`, `(B, 1)`.

        Args:
            name: of the loss.
            penalty: a factor of the mean over all rows; or a loss of the rows, weighted as those of the first task,
                that exists in training alone.
        """
        first = next(iter(self.values()))
        if isinstance(penalty, float):
            self[name] = Head("", first.label_name, 1, {name: Penalty(penalty)})
        else:
            self[name] = Head("", first.label_name, 1, {name: penalty}, weighting=first.weighting, in_training=True)

    def served(self) -> dict[str, Head]:
        """Those that exist outside of training as well."""
        return {name: head for name, head in self.items() if not head.in_training}

    def split(self, domain_name: str, domains: int) -> None:
        """Let every task have logits for every domain, `(B, domains * num_class)`; a label column says whose count."""
        for name, head in self.items():
            self[name] = DomainHead(**vars(head), domain_name=domain_name, domains=domains)

    def losses(self, logits: dict[str, torch.Tensor], batch: Batch, mean: Mean = local_mean) -> dict[str, torch.Tensor]:
        """Every loss of every task, 0-dimensional; the total is their sum. See `Head.loss`."""
        losses: dict[str, torch.Tensor] = {}
        for name, each in logits.items():
            losses |= self[name].loss(each, batch, mean)
        return losses

    def totals(self, losses: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Of what `losses` returned, the sum for each task tower that has losses."""
        towers = {name: head for name, head in self.items() if head.name and head.losses}
        return {
            name: torch.stack([losses[each + head.suffix] for each in head.losses]).sum()
            for name, head in towers.items()
        }

    def predict(self, logits: dict[str, torch.Tensor]) -> Predictions:
        """Outputs of every task."""
        predictions: Predictions = {}
        for name, head in self.served().items():
            predictions |= head.predict(logits[name])
        return predictions


def build_tasks(config: pipeline_pb2.EasyRecConfig) -> Tasks:
    """The tasks of a config: the task towers of its model, or else what its model_config says of the only one."""
    model = getattr(config.model_config, config.model_config.WhichOneof("model"))
    if not getattr(model, "task_towers", ()):
        return Tasks({"": _single_task(config.model_config, config.data_config)})
    return Tasks({tower.tower_name: _task(tower) for tower in model.task_towers})


def _single_task(model: model_pb2.ModelConfig, data: data_pb2.DataConfig) -> Head:
    """The only task: the first label, and the first sample weight where there is one."""
    weighting = Weighting(sample_weight=next(iter(data.sample_weight_fields), ""))
    return _head(model, "", data.label_fields[0], weighting)


def _task(tower: Tower) -> Head:
    """The task of a task tower."""
    mlp = kwargs(tower.mlp) if tower.HasField("mlp") else None
    return _head(tower, tower.tower_name, tower.label_name, _weighting(tower), mlp)


def _weighting(tower: Tower) -> Weighting:
    """Presence needs no look here: a weight of 1, no weight column and no indicator are what unset fields stand for."""
    values = kwargs(tower)
    return Weighting(
        scale=values["weight"],
        sample_weight=values.get("sample_weight_name", ""),
        indicator=values["task_space_indicator_label"],
        inside=values["in_task_space_weight"],
        outside=values["out_task_space_weight"],
    )


def _head(
    source: Tower | model_pb2.ModelConfig,
    name: str,
    label: str,
    weighting: Weighting,
    tower: dict[str, Any] | None = None,
) -> Head:
    """A head from a message that has num_class, losses, metrics and train_metrics."""
    losses = dict(_loss(each) for each in source.losses)
    factors = dict(zip(losses, (shortest(each.weight) for each in source.losses), strict=True))
    metrics = dict(_metric(each, source.num_class) for each in source.metrics)
    online = dict(_online(each, source.num_class) for each in source.train_metrics)
    return Head(name, label, source.num_class, losses, metrics, weighting, tower, online, factors)


def _loss(config: loss_pb2.LossConfig) -> tuple[str, Loss]:
    made = registry.resolve_class(config, "loss", "tzrec.losses")
    loss = made(**_fields(config, "loss"))
    return loss.name, loss


def _online(config: metric_pb2.TrainMetricConfig, num_class: int) -> tuple[str, TrainMetricFactory]:
    name, make = _metric(config, num_class)
    return name, TrainMetricFactory(make, shortest(config.decay_rate), config.decay_step)


def _metric(
    config: metric_pb2.MetricConfig | metric_pb2.TrainMetricConfig, num_class: int
) -> tuple[str, Callable[[], Metric]]:
    made = registry.resolve_class(config, "metric", "tzrec.metrics")
    return metric_name(config), partial(made, num_class, **_fields(config, "metric"))


def _fields(config: Message, oneof: str) -> dict[str, Any]:
    return kwargs(getattr(config, config.WhichOneof(oneof)))
