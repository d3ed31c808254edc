"""The tables of names are those of the rooms that make something of them, and of torch."""

from __future__ import annotations

import inspect

import pytest
from torch import nn

from tzrec.config import optimizers, unsupported
from tzrec.config.grammar import ACTIVATIONS, INITIALISERS, activation_problem, initialiser_problem
from tzrec.config.rules.losses import LOSSES
from tzrec.config.rules.metrics import METRICS
from tzrec.errors import ConfigError
from tzrec.modules.activation import activation
from tzrec.protos import pipeline_pb2
from tzrec.tables import sparse_optimizer
from tzrec.tables.initialization import parse_initializer
from tzrec.tables.update_rules import RULES

NEEDED = {"Softmax": "(dim=1)", "LogSoftmax": "(dim=1)", "Threshold": "(threshold=0, value=0)"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_of_the_table_can_be_made(name: str) -> None:
    text = name if name == "Dice" else f"nn.{name}{NEEDED.get(name, '')}"
    assert activation_problem(text) == ""
    made = activation(text, 4)
    parameters = set(inspect.signature(type(made)).parameters) - {"device", "dtype", "dim", "args", "kwargs"}
    assert parameters - {"min_value", "max_value"} == set(ACTIVATIONS[name]) - {"dim"}


@pytest.mark.parametrize(
    "text",
    ["nn.GLU", "nn.Linear", "nn.ReLU(", "nn.ReLU(1)", "nn.ReLU(in=1)", "relu6x", "__import__('os')", "nn.ELU(alpha=)"],
)
def test_what_one_refuses_the_other_refuses(text: str) -> None:
    assert activation_problem(text) != ""
    with pytest.raises(ConfigError):
        activation(text, 4)


@pytest.mark.parametrize(
    "text", ["", " ", "Dice", "ReLU", "torch.nn.ReLU", "nn.LeakyReLU(negative_slope=0.2, inplace=True)"]
)
def test_what_one_accepts_the_other_accepts(text: str) -> None:
    assert activation_problem(text) == ""
    activation(text, 4)


@pytest.mark.parametrize("name", INITIALISERS)
def test_every_initialiser_of_the_table_can_be_used(name: str) -> None:
    text = f"nn.init.{name}" + (",val=0.1" if name == "constant_" else "")
    assert initialiser_problem(text) == ""
    parse_initializer(text)
    known = set(inspect.signature(getattr(nn.init, name)).parameters) - {"tensor", "generator"}
    assert known == set(INITIALISERS[name])


@pytest.mark.parametrize(
    "text", ["nn.init.eye_", "nn.init.uniform_,a", "nn.init.uniform_,c=1", "nn.init.normal_,std=x", "nn.init.constant_"]
)
def test_bad_initialisers_are_bad_in_both_rooms(text: str) -> None:
    assert initialiser_problem(text) != ""
    with pytest.raises(ConfigError):
        parse_initializer(text)


def test_fused_optimizers_are_those_that_the_optimizer_room_has() -> None:
    assert set(optimizers.FUSED_ON_CPU) < set(optimizers.FUSED_ON_CUDA) == set(sparse_optimizer._FUSED)
    assert set(optimizers.BY_ROWS) < set(RULES)


def test_every_field_of_the_tables_exists() -> None:
    messages = {}
    todo = [pipeline_pb2.EasyRecConfig.DESCRIPTOR]
    while todo:
        message = todo.pop()
        if message.name not in messages:
            messages[message.name] = message
            todo += [field.message_type for field in message.fields if field.message_type]
    for key in [*unsupported.FIELDS, *unsupported.VALUES]:
        message, _, field = key.partition(".")
        assert field in messages[message].fields_by_name, key
    for key, values in unsupported.VALUES.items():
        message, _, field = key.partition(".")
        assert set(values) <= set(messages[message].fields_by_name[field].enum_type.values_by_name), key
    assert set(LOSSES) <= set(messages["LossConfig"].fields_by_name)
    assert set(METRICS) <= set(messages["MetricConfig"].fields_by_name)
