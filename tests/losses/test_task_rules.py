"""Options `task` of losses and metrics in the schema agree with the classes."""

from __future__ import annotations

import pytest
import torch

from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.config.options import ensure_num_class, fits_num_class, implemented_members, member_messages, task_rule
from tzrec.config.schema import oneof_of
from tzrec.errors import ConfigError
from tzrec.protos.loss_pb2 import LossConfig
from tzrec.protos.metric_pb2 import MetricConfig
from tzrec.protos.options_pb2 import PROBABILITIES, VALUES

LOSSES = oneof_of(LossConfig, "loss")
METRICS = oneof_of(MetricConfig, "metric")


@pytest.mark.parametrize("name", implemented_members(LOSSES))
def test_loss_predicts_what_its_rule_says(name: str) -> None:
    config = LossConfig()
    message = getattr(config, name)
    message.SetInParent()
    rule = task_rule(member_messages(LOSSES)[name])
    loss = registry.resolve_class(config, "loss")(**kwargs(message))
    outputs = loss.outputs(torch.zeros(3, rule.min_num_class))
    assert ("probs" in outputs, "y" in outputs) == (rule.prediction == PROBABILITIES, rule.prediction == VALUES)


@pytest.mark.parametrize("name", implemented_members(METRICS))
def test_metric_has_a_rule(name: str) -> None:
    rule = task_rule(member_messages(METRICS)[name])
    assert rule.HasField("prediction")
    assert fits_num_class(rule, rule.min_num_class)


def test_num_class_out_of_range_is_an_error() -> None:
    config = LossConfig()
    config.jrc_loss.session_name = "s"
    ensure_num_class(config.jrc_loss, 2)
    with pytest.raises(ConfigError, match="num_class: 1 is not valid for JRCLoss; num_class must be from 2 to 2"):
        ensure_num_class(config.jrc_loss, 1)
