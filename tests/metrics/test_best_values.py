from __future__ import annotations

import pytest

from tzrec import registry
from tzrec.config.options import implemented_members, member_messages, task_rule
from tzrec.config.schema import oneof_of
from tzrec.metrics.base import Metric
from tzrec.protos.metric_pb2 import MetricConfig
from tzrec.protos.options_pb2 import BestValue

ONEOF = oneof_of(MetricConfig(), "metric")


@pytest.mark.parametrize("name", implemented_members(ONEOF))
def test_best_value_of_the_schema_is_that_of_the_class(name: str) -> None:
    config = MetricConfig()
    getattr(config, name).SetInParent()
    metric = registry.resolve_class(config, "metric")
    assert issubclass(metric, Metric)
    best = {True: BestValue.LARGEST, False: BestValue.SMALLEST, None: BestValue.BETWEEN}[metric.larger_is_better]
    assert task_rule(member_messages(ONEOF)[name]).best == best
