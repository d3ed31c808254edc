"""Naming rule in both directions: the name of a oneof field is the file, the name of its message is the class."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

import tzrec
from tzrec import registry
from tzrec.protos import data_pb2, feature_pb2, loss_pb2, metric_pb2, model_pb2, optimizer_pb2, seq_encoder_pb2

PACKAGE = Path(tzrec.__file__).parent
TESTS = Path(__file__).parents[1]

ONEOFS: list[tuple[type[Message], str, str]] = [
    (feature_pb2.FeatureConfig, "feature", "tzrec.features.types"),
    (model_pb2.ModelConfig, "model", "tzrec.models"),
    (seq_encoder_pb2.SeqEncoderConfig, "seq_module", "tzrec.embedding.encoders"),
    (loss_pb2.LossConfig, "loss", "tzrec.losses"),
    (metric_pb2.MetricConfig, "metric", "tzrec.metrics"),
    (metric_pb2.TrainMetricConfig, "metric", "tzrec.metrics"),
    (optimizer_pb2.SparseOptimizer, "learning_rate", "tzrec.optim.schedule"),
    (optimizer_pb2.DenseOptimizer, "learning_rate", "tzrec.optim.schedule"),
    (optimizer_pb2.PartOptimizer, "learning_rate", "tzrec.optim.schedule"),
    (data_pb2.DataConfig, "sampler", "tzrec.data"),
]

# modules that are not a member of a oneof: shared by the other modules of their package
SHARED = {
    "features/types": set(),
    "models": {"base", "build"},
    "embedding/encoders": {"base", "build"},
    "losses": {"base", "session"},
    "metrics": {"base", "roc", "sums", "grouped", "pairs"},
}


def members() -> list[tuple[FieldDescriptor, str]]:
    """List every member of every oneof that the rule covers, with its package."""
    return [
        (field, package)
        for message, oneof, package in ONEOFS
        for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields
    ]


def files(package: str) -> set[str]:
    """Return the names of the modules of a package."""
    return {path.stem for path in (PACKAGE / package).glob("*.py")} - {"__init__"}


@pytest.mark.parametrize(("field", "package"), members(), ids=lambda value: getattr(value, "full_name", value))
def test_member_with_file_resolves_to_its_class(field: FieldDescriptor, package: str) -> None:
    module, name = registry.locate(field, package)
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} does not exist yet")
    if module == package and not hasattr(importlib.import_module(module), name):
        pytest.skip(f"{module}.{name} does not exist yet")
    message = field.containing_type._concrete_class()
    getattr(message, field.name).SetInParent()
    assert registry.resolve_class(message, field.containing_oneof.name, package).__name__ == name


@pytest.mark.parametrize("package", sorted(SHARED))
def test_file_is_named_by_a_member(package: str) -> None:
    named = {registry.locate(field, folder)[0] for field, folder in members()}
    room = f"tzrec.{package}".replace("/", ".")
    stray = {name for name in files(package) - SHARED[package] if f"{room}.{name}" not in named}
    assert stray == set(), f"no oneof member leads to these files of tzrec/{package}"


@pytest.mark.parametrize("package", sorted(SHARED))
def test_member_has_test_file_of_its_name(package: str) -> None:
    untested = {name for name in files(package) - SHARED[package] if not (TESTS / package / f"test_{name}.py").exists()}
    assert untested == set(), f"tests/{package}/test_<name>.py is missing for these"


def test_package_has_no_module_called_utils() -> None:
    vague = ("util", "utils", "helper", "helpers", "common", "misc")
    assert [path for path in PACKAGE.rglob("*") if path.stem.lower().strip("_") in vague] == []
