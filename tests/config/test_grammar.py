"""Grammars accept the names and parameters of torch, and the components accept what the grammars accept."""

from __future__ import annotations

import inspect

import pytest
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from torch import nn

from tzrec.config.grammar import ACTIVATIONS, INITIALIZERS, activation_problem, initializer_problem
from tzrec.config.options import field_rules, member_messages, table_optimizer
from tzrec.config.schema import descriptor_of, oneof_of
from tzrec.errors import ConfigError
from tzrec.modules.activation import activation
from tzrec.protos.feature_pb2 import ParameterConstraints
from tzrec.protos.optimizer_pb2 import SparseOptimizer
from tzrec.tables.initialization import parse_initializer
from tzrec.tables.sharding_plan import HOST_TYPES, TYPES
from tzrec.tables.update_rules import RULES

NEEDED = {"Softmax": "(dim=1)", "LogSoftmax": "(dim=1)", "Threshold": "(threshold=0, value=0)"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_can_be_constructed(name: str) -> None:
    text = name if name == "Dice" else f"nn.{name}{NEEDED.get(name, '')}"
    assert activation_problem(text) == ""
    module = activation(text, 4)
    parameters = set(inspect.signature(type(module)).parameters) - {"device", "dtype", "dim", "args", "kwargs"}
    assert parameters - {"min_value", "max_value"} == set(ACTIVATIONS[name]) - {"dim"}


@pytest.mark.parametrize(
    "text",
    ["nn.GLU", "nn.Linear", "nn.ReLU(", "nn.ReLU(1)", "nn.ReLU(in=1)", "relu6x", "__import__('os')", "nn.ELU(alpha=)"],
)
def test_invalid_activation_is_rejected_by_checker_and_module(text: str) -> None:
    assert activation_problem(text) != ""
    with pytest.raises(ConfigError):
        activation(text, 4)


@pytest.mark.parametrize(
    "text", ["", " ", "Dice", "ReLU", "torch.nn.ReLU", "nn.LeakyReLU(negative_slope=0.2, inplace=True)"]
)
def test_valid_activation_is_accepted_by_checker_and_module(text: str) -> None:
    assert activation_problem(text) == ""
    activation(text, 4)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers_have_the_parameters_of_torch(name: str) -> None:
    text = f"nn.init.{name}" + (",val=0.1" if name == "constant_" else "")
    assert initializer_problem(text) == ""
    parse_initializer(text)
    known = set(inspect.signature(getattr(nn.init, name)).parameters) - {"tensor", "generator"}
    assert known == set(INITIALIZERS[name])


@pytest.mark.parametrize(
    "text", ["nn.init.eye_", "nn.init.uniform_,a", "nn.init.uniform_,c=1", "nn.init.normal_,std=x", "nn.init.constant_"]
)
def test_invalid_initializer_is_rejected_by_checker_and_table(text: str) -> None:
    assert initializer_problem(text) != ""
    with pytest.raises(ConfigError):
        parse_initializer(text)


def test_fbgemm_names_of_optimizers_exist() -> None:
    messages = member_messages(oneof_of(SparseOptimizer, "optimizer"))
    assert set(messages) == set(RULES)
    names = {name: table_optimizer(message).fbgemm_name for name, message in messages.items()}
    assert set(names.values()) - {""} <= set(EmbOptimType.__members__)
    assert {name for name in names if not names[name]} == {"adadelta_optimizer", "rmsprop_optimizer", "ftrl_optimizer"}


def test_sharding_types_are_those_of_the_planner() -> None:
    rule = field_rules(descriptor_of(ParameterConstraints))["sharding_types"]
    assert set(rule.one_of) == {*TYPES, *HOST_TYPES}
    assert set(rule.cuda_only) == set(HOST_TYPES)
