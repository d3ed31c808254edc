"""Values of the label columns that the losses of a config take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tzrec.config.heads import HeadDeclaration, declare_heads
from tzrec.config.options import task_rule
from tzrec.config.schema import descriptor_of
from tzrec.protos.options_pb2 import TaskRule
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@dataclass(frozen=True)
class LabelRule:
    """Values of a label that one of its readers takes: one number in each row.

    Attributes:
        reader: name of the loss, or of the field of the config that reads the label.
        least: smallest value.
        most: largest value.
        is_whole: True if values are whole numbers.
    """

    reader: str
    least: float = -math.inf
    most: float = math.inf
    is_whole: bool = False

    @property
    def values(self) -> str:
        """Values that it takes, in words."""
        kind = "a class" if self.is_whole else "a number"
        limits = f"of at least {self.least:g}" if math.isinf(self.most) else f"from {self.least:g} to {self.most:g}"
        return f"{kind} {limits}"

    @property
    def reason(self) -> str:
        """Reason for which a row with another value is bad."""
        return f"not {self.values}, as {self.reader} needs"


def label_rules(config: EasyRecConfig) -> dict[str, list[LabelRule]]:
    """Map each label column that a head reads to the rules of its readers; empty without a model."""
    rules: dict[str, list[LabelRule]] = {}
    for head in declare_heads(config).heads:
        for name, rule in _rules(head):
            if rule not in rules.setdefault(name, []):
                rules[name].append(rule)
    return rules


def unread_outside(config: EasyRecConfig) -> dict[str, str]:
    """Map label columns to indicator columns: no task reads the label where the indicator is not above 0.

    Tasks read it there if they have no task space, or a weight or metrics outside of it. The indicator is a label that
    is always read itself.
    """
    indicators_by_label: dict[str, set[str]] = {}
    heads = [head for head in declare_heads(config).heads if not head.candidates]
    for head in heads:
        indicators_by_label.setdefault(head.label_name, set()).add(_space(head))
        if head.domain_name:
            indicators_by_label.setdefault(head.domain_name, set()).add("")
    only = {name: next(iter(names)) for name, names in indicators_by_label.items() if len(names) == 1}
    return {name: indicator for name, indicator in only.items() if indicator and indicator != name}


def _space(head: HeadDeclaration) -> str:
    """The indicator of the only rows in which a head reads its label; "" if it reads all rows."""
    message = head.message
    indicator: str = getattr(message, "task_space_indicator_label", "")
    if not indicator or message.out_task_space_weight > 0:
        return ""
    has_metrics = bool(message.metrics or message.train_metrics)
    return indicator if message.metrics_in_task_space or not has_metrics else ""


def _rules(head: HeadDeclaration) -> Iterator[tuple[str, LabelRule]]:
    """Yield the label columns of a head with what reads them."""
    for config in () if head.candidates else head.message.losses:
        if loss := config.WhichOneof("loss"):
            rule = task_rule(descriptor_of(getattr(config, loss)))
            yield head.label_name, _of_loss(loss, rule, head.message.num_class)
    if head.domain_name:
        yield head.domain_name, LabelRule("task_domain_num", 0, head.num_domains - 1, is_whole=True)
    if indicator := getattr(head.message, "task_space_indicator_label", ""):
        yield indicator, LabelRule("task_space_indicator_label")


def _of_loss(name: str, rule: TaskRule, num_class: int) -> LabelRule:
    if rule.label_is_class:
        return LabelRule(name, 0, num_class - 1, is_whole=True)
    least = rule.min_label if rule.HasField("min_label") else -math.inf
    return LabelRule(name, least, rule.max_label if rule.HasField("max_label") else math.inf)
