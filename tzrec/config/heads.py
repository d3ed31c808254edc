"""Heads of a model as its config declares them, without torch: the config checker and the model read the same list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from tzrec import registry
from tzrec.config.schema import fields_of
from tzrec.protos.pipeline_pb2 import EasyRecConfig

Candidates = Literal["", "sampled", "in_batch"]
Reduction = Literal["mean", "root_of_sum"]


def head_suffix(name: str) -> str:
    """Return the suffix of the outputs, losses and metrics of a head: `_ctr`, or "" for a head without a name."""
    return f"_{name}" if name else ""


@dataclass(frozen=True)
class HeadDeclaration:
    """One head of a model.

    Attributes:
        name: suffix of its outputs, losses and metrics; "" for the only head of a single-task model.
        path: config path of `message`.
        message: message with num_class, losses, metrics and train_metrics: a task tower or model_config.
        label_name: label column; "" if the config names none.
        sample_weight_name: sample weight column; "" for none.
        is_training_only: True if the head is not evaluated, predicted or exported.
        is_derived: True if the head has the outputs of its message, but no tower, losses or metrics of its own.
        domain_name: label column with the domain of a row; "" if the head has no domains.
        num_domains: number of domains; the head has logits for each of them.
        candidates: classes of the head are candidate items, the positive one first ("sampled") or that of row i at
            index i ("in_batch"); "" for classes of a label.
    """

    name: str
    path: str
    message: Any
    label_name: str
    sample_weight_name: str = ""
    is_training_only: bool = False
    is_derived: bool = False
    domain_name: str = ""
    num_domains: int = 1
    candidates: Candidates = ""

    @property
    def suffix(self) -> str:
        """Suffix of its outputs, losses and metrics, see `head_suffix`."""
        return head_suffix(self.name)

    def derive(self, name: str) -> HeadDeclaration:
        """Declare a head with the outputs of this one, but without a tower, losses or metrics of its own."""
        return replace(self, name=name, is_derived=True)

    def with_domains(self, domain_name: str, num_domains: int) -> HeadDeclaration:
        """Declare the same head with logits for every domain."""
        return replace(self, domain_name=domain_name, num_domains=num_domains)


class DistillationPair(NamedTuple):
    """Two heads with the losses of one task: one that is served and a larger one that exists in training only."""

    student: HeadDeclaration
    teacher: HeadDeclaration

    @classmethod
    def of(cls, task: HeadDeclaration, student: str, teacher: str) -> DistillationPair:
        """Declare the pair in place of the head of a task.

        Args:
            task: head of the task.
            student: name of the head that is evaluated, predicted and exported.
            teacher: name of the head that exists in training only.
        """
        return cls(replace(task, name=student), replace(task, name=teacher, is_training_only=True))


@dataclass(frozen=True)
class AuxiliaryLoss:
    """Loss that belongs to no head: the model computes its value x of each row.

    Attributes:
        name: name in logs.
        factor: factor of x.
        reduction: "mean" over the rows of a rank, or "root_of_sum", `sqrt(sum x)` over them.
        is_sample_weighted: True if rows are weighted as in the losses of the first head.
        is_training_only: True if evaluation does not report it.
    """

    name: str
    factor: float = 1.0
    reduction: Reduction = "mean"
    is_sample_weighted: bool = False
    is_training_only: bool = False


@dataclass(frozen=True)
class DeclaredHeads:
    """Heads and auxiliary losses of a model, in the order of its losses.

    Attributes:
        heads: one per task, and those that the model adds.
        auxiliary_losses: losses that belong to no head.
    """

    heads: Sequence[HeadDeclaration] = ()
    auxiliary_losses: Sequence[AuxiliaryLoss] = ()

    @property
    def evaluated(self) -> list[HeadDeclaration]:
        """Heads whose losses and metrics an evaluation reports."""
        return [head for head in self.heads if not head.is_training_only and not head.is_derived]

    @property
    def evaluated_auxiliary_losses(self) -> list[AuxiliaryLoss]:
        """Auxiliary losses that an evaluation reports."""
        return [loss for loss in self.auxiliary_losses if not loss.is_training_only]


def declare_heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare the heads of the chosen model.

    A model that differs from `default_heads` has a function `heads(config)` in its requirements, the file
    `tzrec/models/requirements/<oneof member>.py`. The config may be invalid: the checker calls this as well.
    """
    member = registry.oneof_member(config.model_config, "model")
    if member is None:
        return DeclaredHeads()
    requirements = registry.requirements(member[0])
    declare = getattr(requirements, "heads", None)
    return declare(config) if declare else DeclaredHeads(default_heads(config))


def default_heads(config: EasyRecConfig) -> list[HeadDeclaration]:
    """Declare one head per task tower; for a model without a field `task_towers` the single head of model_config."""
    name = config.model_config.WhichOneof("model")
    has_towers = name is not None and "task_towers" in fields_of(getattr(config.model_config, name))
    return tower_heads(config) if has_towers else [single_head(config)]


def tower_heads(config: EasyRecConfig) -> list[HeadDeclaration]:
    """Declare one head per task tower of the chosen model."""
    name = config.model_config.WhichOneof("model")
    path, towers = f"model_config.{name}.task_towers", getattr(config.model_config, name).task_towers
    return [
        HeadDeclaration(
            tower.tower_name, f"{path}[{index}]", tower, tower.label_name, getattr(tower, "sample_weight_name", "")
        )
        for index, tower in enumerate(towers)
    ]


def candidate_head(config: EasyRecConfig) -> HeadDeclaration:
    """Declare the head of a model that compares a query with candidate items, see `CandidateHead`."""
    model = getattr(config.model_config, config.model_config.WhichOneof("model") or "")
    return replace(single_head(config), candidates="in_batch" if model.in_batch_negative else "sampled")


def single_head(config: EasyRecConfig) -> HeadDeclaration:
    """Declare the head of model_config, on the first label column and the first sample weight column, if any."""
    label_name = next(iter(config.data_config.label_fields), "")
    sample_weight_name = next(iter(config.data_config.sample_weight_fields), "")
    return HeadDeclaration("", "model_config", config.model_config, label_name, sample_weight_name)
