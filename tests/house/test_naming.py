"""Naming rule in both directions: the name of a oneof field is the file, the name of its message is the class."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

import tzrec
from tzrec import registry
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.protos.tune_pb2 import TuneConfig
from tzrec.registry import implemented_in

PACKAGE = Path(tzrec.__file__).parent
TESTS = Path(__file__).parents[1]

# modules that are not a member of a oneof: shared by the other modules of their package
SHARED = {
    "features/types": set(),
    "models": {"base", "build", "two_towers"},
    "embedding/encoders": {"base", "build"},
    "losses": {"base", "session"},
    "metrics": {"base", "roc", "sums", "grouped", "pairs"},
    "server/stores": {"base", "build", "completer", "keys", "packed_rows", "packed_store", "store_metrics", "write"},
}


def descriptors() -> list[Descriptor]:
    """List the messages of the configs, from the roots down."""
    seen: dict[str, Descriptor] = {}
    ahead: list[Descriptor] = [EasyRecConfig.DESCRIPTOR, ServeConfig.DESCRIPTOR, TuneConfig.DESCRIPTOR]
    while ahead:
        message = ahead.pop()
        if message.full_name not in seen:
            seen[message.full_name] = message
            ahead += [field.message_type for field in message.fields if field.message_type is not None]
    return list(seen.values())


def members() -> list[tuple[FieldDescriptor, str]]:
    """List every member of every oneof with the option `implemented_in`, with its package."""
    return [
        (field, implemented_in(oneof))
        for message in descriptors()
        for oneof in message.oneofs
        for field in oneof.fields
        if implemented_in(oneof)
    ]


def files(package: str) -> set[str]:
    """Return the names of the modules of a package."""
    return {path.stem for path in (PACKAGE / package).glob("*.py")} - {"__init__"}


@pytest.mark.parametrize(("field", "package"), members(), ids=lambda value: getattr(value, "full_name", value))
def test_member_with_file_resolves_to_its_class(field: FieldDescriptor, package: str) -> None:
    module, name = registry.locate(field)
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} does not exist yet")
    if module == package and not hasattr(importlib.import_module(module), name):
        pytest.skip(f"{module}.{name} does not exist yet")
    message = field.containing_type._concrete_class()
    getattr(message, field.name).SetInParent()
    assert registry.resolve_class(message, field.containing_oneof.name).__name__ == name


@pytest.mark.parametrize("package", sorted(SHARED))
def test_file_is_named_by_a_member(package: str) -> None:
    named = {registry.locate(field)[0] for field, _ in members()}
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
