"""The naming rule: the oneof field's name is the file, the message's name is the class.

`ModelConfig.model.mmoe : MMoE` is `tzrec.models.mmoe.MMoE`. Where the package is a single file
(`tzrec.optim.schedule`), the class is looked up in it. Nothing is imported but what a config names.
"""

from __future__ import annotations

import importlib
import importlib.util
from importlib import metadata
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec.errors import ConfigError, Problem

_Base = TypeVar("_Base")


def locate(field: FieldDescriptor, package: str) -> tuple[str, str]:
    """The module and the class that implement a member of a oneof.

    A `sequence_` prefix says how a feature is used, not what it is: `sequence_id_feature : IdFeature` is
    `id_feature.IdFeature`.
    """
    name = field.name.removeprefix("sequence_")
    if name == "feature":  # `sequence_feature : SequenceFeature` is a member of its own
        name = field.name
    spec = importlib.util.find_spec(package)
    is_package = spec is not None and spec.submodule_search_locations is not None
    message = field.message_type
    assert message is not None  # every member of these oneofs is a message
    return (f"{package}.{name}" if is_package else package), message.name


def implemented(field: FieldDescriptor, package: str) -> bool:
    """Whether a member of a oneof has its class, without importing heavy modules of a package."""
    module, name = locate(field, package)
    if importlib.util.find_spec(module) is None:
        return False
    if module != package:
        return True
    return hasattr(importlib.import_module(module), name)


def chosen(message: Message, oneof: str) -> tuple[FieldDescriptor, Message] | None:
    """The set member of a oneof and its message, or None."""
    name = message.WhichOneof(oneof)
    if name is None:
        return None
    field: Any = message.DESCRIPTOR.fields_by_name[name]
    return field, getattr(message, name)


def resolve(message: Message, oneof: str, package: str) -> Any:
    """The class that implements the set member of a oneof.

    Raises:
        LookupError: nothing is set, or it has no implementation; `config.check` reports both before anything starts.
    """
    member = chosen(message, oneof)
    if member is None:
        raise LookupError(f"{message.DESCRIPTOR.name}.{oneof} is not set")
    return load(member[0], package)


def load(field: FieldDescriptor, package: str) -> Any:
    """The class that implements a member of a oneof.

    Raises:
        LookupError: there is none.
    """
    module, name = locate(field, package)
    if importlib.util.find_spec(module) is None:
        raise LookupError(f"{field.full_name} has no implementation: {module}.{name} does not exist")
    return getattr(importlib.import_module(module), name)


def extension(name: str, group: str, base: type[_Base], field: str) -> type[_Base]:
    """The class outside of this package that a config names.

    Args:
        name: `package.module:Class`, or an entry point of an installed package.
        group: of the entry points.
        base: what it has to be a subclass of.
        field: of the config, for its errors.

    Raises:
        ConfigError: it is not there, cannot be imported, or is something else.
    """
    try:
        found = _named(name, group)
    except LookupError as error:
        raise ConfigError([Problem(field, str(error))]) from None
    except Exception as error:  # whatever a module of somebody else does when it is imported
        message = (
            f'"{name}" cannot be imported: {type(error).__name__}: {error}. Its package has to be installed, or the '
            "folder that holds it to be in PYTHONPATH"
        )
        raise ConfigError([Problem(field, message)]) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError([Problem(field, f'"{name}" is no subclass of {base.__module__}.{base.__qualname__}')])
    return found


def _named(name: str, group: str) -> Any:
    module, colon, attribute = name.partition(":")
    if colon:
        return getattr(importlib.import_module(module), attribute)
    entries = {each.name: each for each in metadata.entry_points(group=group)}
    if name not in entries:
        listed = f"; there are {', '.join(sorted(entries))}" if entries else ""
        raise LookupError(f'"{name}" is neither package.module:Class nor an entry point of the group {group}{listed}')
    return entries[name].load()
