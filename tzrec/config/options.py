"""Options of the schema, defined in protos/tzrec/protos/options.proto: rules that hold beside types and names."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumValueDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.schema import descriptor_of, is_message, message_type
from tzrec.errors import ConfigError, Problem
from tzrec.protos import options_pb2 as pb


def _extension(descriptor: Any, extension: Any) -> Any:
    return descriptor.GetOptions().Extensions[extension]


def _has_rule(field: Any) -> bool:
    return bool(field.GetOptions().HasExtension(pb.rule))


def field_rule(field: FieldDescriptor) -> pb.FieldRule:
    """Return the rule of a field; an empty one if it has none."""
    rule: pb.FieldRule = _extension(field, pb.rule)
    return rule


@functools.cache
def field_rules(descriptor: Descriptor) -> Mapping[str, pb.FieldRule]:
    """Return the rules of the fields of a message that have one, by name."""
    return {field.name: field_rule(field) for field in descriptor.fields if _has_rule(field)}


@functools.cache
def fields_with_reference(descriptor: Descriptor, reference: pb.Reference) -> tuple[FieldDescriptor, ...]:
    """Return the fields of a message that refer to something, in declared order."""
    return tuple(field for field in descriptor.fields if field_rule(field).refers_to == reference)


def words(message: type[Message], field: str) -> tuple[str, ...]:
    """Return the words that a string field may hold."""
    return tuple(field_rules(descriptor_of(message))[field].one_of)


def unsupported_value(value: EnumValueDescriptor) -> str:
    """Return the alternative to an enum value that is not supported; "" if it is supported."""
    alternative: str = _extension(value, pb.unsupported_value)
    return alternative


def ignored_value(value: EnumValueDescriptor) -> str:
    """Return the reason why another value is used in place of an enum value; "" if it is used."""
    reason: str = _extension(value, pb.ignored_value)
    return reason


def unreadable_value(value: EnumValueDescriptor) -> str:
    """Return what to do in place of a value that is an error where it is used; "" if it can be used."""
    advice: str = _extension(value, pb.unreadable_value)
    return advice


def file_extensions(value: EnumValueDescriptor) -> tuple[str, ...]:
    """Return the extensions of the files of a dataset type, without the dot."""
    return tuple(_extension(value, pb.file_extensions))


def use_instead(oneof: OneofDescriptor) -> str:
    """Return the alternative to members of a oneof that are not implemented; "" means another member."""
    alternative: str = _extension(oneof, pb.use_instead)
    return alternative


@functools.cache
def implemented_members(oneof: OneofDescriptor) -> tuple[str, ...]:
    """Return the members of a oneof whose class exists."""
    return tuple(field.name for field in oneof.fields if registry.is_implemented(field))


def task_rule(descriptor: Descriptor) -> pb.TaskRule:
    """Return the tasks that a loss or metric is for."""
    rule: pb.TaskRule = _extension(descriptor, pb.task)
    return rule


ANY_NUM_CLASS = 2**31
"""Number of classes of a task whose classes are the candidates of a row, which the config does not tell."""


def fits_num_class(rule: pb.TaskRule, num_class: int) -> bool:
    """True if a loss or metric is for tasks with this number of classes."""
    return rule.min_num_class <= num_class and (not rule.HasField("max_num_class") or num_class <= rule.max_num_class)


def ensure_num_class(message: Message, num_class: int) -> None:
    """Ensure that a loss or metric is for tasks with this number of classes.

    Raises:
        ConfigError: It is not.
    """
    rule = task_rule(descriptor_of(message))
    if not fits_num_class(rule, num_class):
        largest = f" to {rule.max_num_class}" if rule.HasField("max_num_class") else " up"
        expected = f"num_class must be from {rule.min_num_class}{largest}"
        raise ConfigError([Problem("num_class", f"{num_class} is not valid for {message.DESCRIPTOR.name}; {expected}")])


def name_at_k(descriptor: Descriptor) -> str:
    """Return the name of a metric that is followed by "@" and its `top_k`; "" for other metrics."""
    name: str = _extension(descriptor, pb.name_at_k)
    return name


def table_optimizer(descriptor: Descriptor) -> pb.TableOptimizerRule:
    """Return the properties of an optimizer of embedding tables."""
    rule: pb.TableOptimizerRule = _extension(descriptor, pb.table_optimizer)
    return rule


def value_bytes(data_type: str) -> int:
    """Return the size of one value of an embedding table."""
    return 2 if data_type == "FP16" else 4


def optimizer_bytes(descriptor: Descriptor, rows: int, dim: int) -> int:
    """Return the size of the state that an optimizer stores for a table of `rows` x `dim` values."""
    rule = table_optimizer(descriptor)
    return 4 * rows * (dim * rule.state_per_value + rule.state_per_row)


def is_fused(descriptor: Descriptor, device: str) -> bool:
    """True if an optimizer of embedding tables runs inside the backward pass on this type of device."""
    fused_on = table_optimizer(descriptor).fused_on
    return fused_on == pb.FUSED_ON_ALL or (fused_on == pb.FUSED_ON_CUDA and device != "cpu")


def member_messages(oneof: OneofDescriptor) -> Mapping[str, Descriptor]:
    """Return the message type of each member of a oneof of messages, by name."""
    return {field.name: message_type(field) for field in oneof.fields if is_message(field)}
