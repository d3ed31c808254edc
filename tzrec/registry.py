"""Naming rule: the name of a oneof field is the name of the file, the name of its message is the name of the class.

`ModelConfig.model.mmoe : MMoE` is implemented by `tzrec.models.mmoe.MMoE`. Its requirements, if it has any, are in
`tzrec.models.requirements.mmoe`, a module that does not import torch: `config.check` and the class both read it.
The package is the option `implemented_in` of the oneof in the schema.

If the package is a single file (`tzrec.optim.schedule`), the class is an attribute of that file and its requirements
are in the package of the file (`tzrec.optim.requirements.manual_step_learning_rate`). Only modules that a config names
are imported.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from importlib import metadata
from types import ModuleType
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from tzrec.errors import ConfigError, Problem
from tzrec.protos import options_pb2 as pb

_Base = TypeVar("_Base")


def implemented_in(oneof: OneofDescriptor | None) -> str:
    """Return the package with the classes of the members of a oneof; "" if they are not found by the naming rule."""
    return _option(oneof, pb.implemented_in)


def requirements_in(oneof: OneofDescriptor | None) -> str:
    """Return the package with the requirements of the members of a oneof; "" if there is none."""
    return _option(oneof, pb.requirements_in) or implemented_in(oneof)


def _option(oneof: OneofDescriptor | None, extension: Any) -> str:
    return "" if oneof is None else str(oneof.GetOptions().Extensions[extension])


def locate(field: FieldDescriptor) -> tuple[str, str]:
    """Module and class name that implement a member of a oneof, whether or not they exist."""
    package, message = implemented_in(field.containing_oneof), field.message_type
    assert message is not None  # all members of these oneofs are messages
    return (f"{package}.{_module_name(field)}" if _is_package(package) else package), message.name


@functools.cache
def is_implemented(field: FieldDescriptor) -> bool:
    """True if the class of a field exists, or if it needs none; modules of a package are not imported."""
    package = implemented_in(field.containing_oneof)
    if not package:
        return True
    module, name = locate(field)
    if importlib.util.find_spec(module) is None:
        return False
    return module != package or hasattr(importlib.import_module(module), name)


def oneof_member(message: Message, oneof: str) -> tuple[FieldDescriptor, Message] | None:
    """Field and message of the member that is set in a oneof, or None."""
    name = message.WhichOneof(oneof)
    if name is None:
        return None
    field: Any = message.DESCRIPTOR.fields_by_name[name]
    return field, getattr(message, name)


def resolve_class(message: Message, oneof: str) -> Any:
    """Import the class that implements the member that is set in a oneof.

    Raises:
        LookupError: No member is set, or it is not implemented. `config.check` reports both before a run starts.
    """
    member = oneof_member(message, oneof)
    if member is None:
        raise LookupError(f"{message.DESCRIPTOR.name}.{oneof} is not set")
    return load_class(member[0])


def load_class(field: FieldDescriptor) -> Any:
    """Import the class that implements a member of a oneof.

    Raises:
        LookupError: The class does not exist.
    """
    module, name = locate(field)
    if importlib.util.find_spec(module) is None:
        raise LookupError(f"{field.full_name} has no implementation: {module}.{name} does not exist")
    return getattr(importlib.import_module(module), name)


def requirements(field: FieldDescriptor) -> ModuleType | None:
    """Import the requirements of a member of a oneof: facts and rules that hold for the component as a whole.

    A requirements module may define `check(checker, path, message)`, which reports problems of a config to a
    `tzrec.config.checker.Checker`, and constants that the class reads as well.

    Returns:
        The module, or None where the component has no requirements.
    """
    package = requirements_in(field.containing_oneof)
    return _import_requirements(package, _module_name(field)) if package else None


@functools.cache
def _import_requirements(package: str, name: str) -> ModuleType | None:
    parent = package if _is_package(package) else package.rpartition(".")[0]
    module = f"{parent}.requirements.{name}"
    if not _is_package(f"{parent}.requirements") or importlib.util.find_spec(module) is None:
        return None
    return importlib.import_module(module)


def _module_name(field: FieldDescriptor) -> str:
    """Name of the module of a member of a oneof.

    The prefix `sequence_` is dropped, which only states how a feature is used: `sequence_id_feature : IdFeature` is
    `id_feature.IdFeature`. `sequence_feature : SequenceFeature` is a feature type of its own.
    """
    return field.name if field.name == "sequence_feature" else field.name.removeprefix("sequence_")


@functools.cache
def _is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


def load_extension(name: str, group: str, base: type[_Base], field: str) -> type[_Base]:
    """Import a class outside of tzrec that a config names.

    Args:
        name: `package.module:Class`, or an entry point of an installed package.
        group: Group of the entry points.
        base: Class that the result must be a subclass of.
        field: Path of the config field, for error messages.

    Raises:
        ConfigError: The class does not exist, cannot be imported, or is not a subclass of `base`.
    """
    try:
        extension = _import_extension(name, group)
    except LookupError as error:
        raise ConfigError([Problem(field, str(error))]) from None
    except Exception as error:  # importing a module of another package can raise anything
        message = (
            f'"{name}" cannot be imported: {type(error).__name__}: {error}. Install its package, or add the directory '
            "that contains it to PYTHONPATH"
        )
        raise ConfigError([Problem(field, message)]) from error
    if not (isinstance(extension, type) and issubclass(extension, base)):
        raise ConfigError([Problem(field, f'"{name}" is not a subclass of {base.__module__}.{base.__qualname__}')])
    return extension


def _import_extension(name: str, group: str) -> Any:
    module, colon, attribute = name.partition(":")
    if colon:
        return getattr(importlib.import_module(module), attribute)
    entry_points = {entry_point.name: entry_point for entry_point in metadata.entry_points(group=group)}
    if name not in entry_points:
        known = f"; use one of {', '.join(sorted(entry_points))}" if entry_points else ""
        raise LookupError(f'"{name}" is neither package.module:Class nor an entry point of the group {group}{known}')
    return entry_points[name].load()
