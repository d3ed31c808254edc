"""Edits of a config by path, for --edit_config_json and --set."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec.config.edit_path import Condition, PathSegment, parse_path, split
from tzrec.config.names import did_you_mean
from tzrec.config.parser import join, parse, parse_field, read_scalar
from tzrec.config.schema import fields_of, is_map, is_message, message_type, oneof_name
from tzrec.config.syntax import Atom
from tzrec.errors import ConfigError, Problem

FLAG = "--edit_config_json"
SET_FLAG = "--set"
_EQUAL_ONLY = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_ENUM)
_COMPARE = {"=": operator.eq, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


class SetPath(str):
    """Path of an edit that was given as `--set path=value`: problems name that flag."""

    __slots__ = ()


def parse_set(text: str) -> tuple[SetPath, str]:
    """Split `path=value`, as in `train_config.num_epochs=3` or `feature_configs[feature_name=age].embedding_dim=8`.

    Raises:
        ValueError: there is no path, or no `=` outside of brackets.
    """
    depth = 0
    for number, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if character == "=" and not depth and text[:number].strip():
            return SetPath(text[:number].strip()), text[number + 1 :]
    raise ValueError("is not path=value, such as train_config.num_epochs=3")


def apply_edits(config: Message, edits: Mapping[str, Any]) -> None:
    """Change a config in place.

    Args:
        config: usually an EasyRecConfig.
        edits: path -> value. Strings are converted to the type of the field; lists and objects of JSON are not. An
            edit `path;path` with `value;value` stands for two edits.

    Raises:
        ConfigError: Some edits are not valid; the others have been applied.
    """
    _, problems = edit(config, edits)
    if problems:
        raise ConfigError(problems)


def edit(config: Message, edits: Mapping[str, Any]) -> tuple[set[str], list[Problem]]:
    """Change a config in place.

    Returns:
        Paths of the fields that have been set, and problems of the edits that are not valid.
    """
    touched: set[str] = set()
    problems: list[Problem] = []
    for key, value in edits.items():
        flag = SET_FLAG if isinstance(key, SetPath) else FLAG
        try:
            for path, path_value in _pairs(key, value):
                touched |= _edit_one(config, path, path_value)
        except ValueError as error:
            problems.append(Problem(key, str(error), flag))
        except ConfigError as error:
            problems.extend(Problem(problem.field or key, problem.message, flag) for problem in error.problems)
    return touched, problems


def select(config: Message, path: str) -> list[tuple[str, Message, FieldDescriptor]]:
    """Find the fields that the path of an edit selects; elements of a list stand for the list.

    Args:
        config: messages on the path that are not set are created in it, without fields.
        path: as of an edit.

    Returns:
        Path of each field, its message and its descriptor.

    Raises:
        ValueError: The path is not valid, or selects nothing.
    """
    *parents, last = parse_path(path)
    conflicts: list[str] = []
    targets = list(_walk(config, "", parents, conflicts))
    if not targets:
        raise ValueError(conflicts[0] if conflicts else "selects no element")
    return [(join(parent, last.name), message, _field(message, last.name, parent)) for message, parent in targets]


def _pairs(key: str, value: Any) -> list[tuple[str, Any]]:
    keys = split(key, ";")
    if len(keys) == 1:
        return [(keys[0], value)]
    values = value if isinstance(value, list) else split(str(value), ";")
    if len(values) != len(keys):
        raise ValueError(f"{len(keys)} paths, but {len(values)} values: {value}")
    return list(zip(keys, values, strict=True))


def _edit_one(config: Message, path: str, value: Any) -> set[str]:
    segments = parse_path(path)
    conflicts: list[str] = []
    targets = list(_walk(config, "", segments[:-1], conflicts))
    # `[:]` selects features of all types: those of another type are skipped, unless none is left
    if not targets:
        raise ValueError(conflicts[0] if conflicts else "selects no element")
    return {edited for message, path in targets for edited in _set(message, path, segments[-1], value)}


def _field(message: Message, name: str, path: str) -> FieldDescriptor:
    fields = fields_of(message)
    if name not in fields:
        parent = path or message.DESCRIPTOR.name
        raise ValueError(f'no such field "{name}" in {parent}{did_you_mean(name, fields)}')
    return fields[name]


def _walk(
    message: Message, path: str, segments: list[PathSegment], conflicts: list[str]
) -> Iterator[tuple[Message, str]]:
    """Iterate over the messages that a path selects, with the path of each."""
    if not segments:
        yield message, path
        return
    segment, rest = segments[0], segments[1:]
    field = _field(message, segment.name, path)
    field_path = join(path, segment.name)
    if not is_message(field) or is_map(field):
        raise ValueError(f"{field_path} is not a message and has no fields")
    conflict = _oneof_conflict(message, field, field_path)
    if conflict:
        conflicts.append(conflict)
    elif field.is_repeated:
        items = getattr(message, segment.name)
        for index in _indices(items, segment, field, field_path):
            yield from _walk(items[index], f"{field_path}[{index}]", rest, conflicts)
    elif segment.select is not None:
        raise ValueError(f"{field_path} is not repeated; leave the brackets out")
    else:
        child = getattr(message, segment.name)
        child.SetInParent()
        yield from _walk(child, field_path, rest, conflicts)


def _oneof_conflict(message: Message, field: FieldDescriptor, field_path: str) -> str:
    """Return the problem of a path through a member of a oneof if another member is set, which it would discard."""
    oneof = oneof_name(field)
    chosen = message.WhichOneof(oneof) if oneof else None
    if chosen in (None, field.name):
        return ""
    return f'{field_path}: {oneof} is "{chosen}"; to choose another one, set {field_path} as a whole'


def _indices(items: Any, segment: PathSegment, field: FieldDescriptor, field_path: str) -> list[int]:
    """Return the indices of the elements that a path segment selects."""
    if segment.select is None:
        raise ValueError(
            f"{field_path} is repeated; select elements: {segment.name}[0], {segment.name}[0:2] or {segment.name}[:]"
        )
    if isinstance(segment.select, Condition):
        return _matches(items, segment.select, field, field_path)
    if isinstance(segment.select, slice):
        return list(range(len(items))[segment.select])
    if not -len(items) <= segment.select < len(items):
        raise ValueError(f"{field_path}[{segment.select}]: index out of range, {field_path} has {len(items)} elements")
    return [segment.select % len(items)]


def _matches(items: Any, condition: Condition, field: FieldDescriptor, field_path: str) -> list[int]:
    if not is_message(field):
        raise ValueError(f"{field_path} holds scalar values; select by index")
    leaf = _leaf(field, condition, field_path)
    try:
        expected = _cast(condition.value, leaf)
    except ValueError as error:
        raise ValueError(f"{field_path}[{'.'.join(condition.names)}]: {error}") from error
    if leaf.type in _EQUAL_ONLY and condition.comparison != "=":
        raise ValueError(f'{".".join(condition.names)} is not a number; compare with "=", not "{condition.comparison}"')
    indices = []
    for index, item in enumerate(items):
        current = _nested_value(item, condition.names)
        if current is not None and _COMPARE[condition.comparison](current, expected):
            indices.append(index)
    if not indices:
        text = f"{'.'.join(condition.names)}{condition.comparison}{condition.value}"
        raise ValueError(f"{field_path}: no element has {text}{_alternatives(items, condition)}")
    return indices


def _alternatives(items: Any, condition: Condition) -> str:
    current = {str(_nested_value(item, condition.names)) for item in items} - {"None"}
    return did_you_mean(condition.value, sorted(current), limit=0)


def _leaf(field: FieldDescriptor, condition: Condition, field_path: str) -> FieldDescriptor:
    """Return the scalar field that a condition compares."""
    path = f"{field_path}[]"
    for name in condition.names:
        if not is_message(field):
            raise ValueError(f"{path} is not a message and has no fields")
        fields = message_type(field).fields_by_name
        if name not in fields:
            raise ValueError(f'no such field "{name}" in {path}{did_you_mean(name, fields)}')
        field, path = fields[name], f"{path}.{name}"
        if field.is_repeated:
            raise ValueError(f"{path} is repeated; compare a single value")
    if is_message(field):
        raise ValueError(f"{path} is a message; compare one of its fields")
    return field


def _nested_value(item: Message, names: tuple[str, ...]) -> Any:
    """Return the value of an element at a nested path; None if it, or a message on the path, is not set."""
    current: Any = item
    for name in names:
        if not current.HasField(name):
            return None
        current = getattr(current, name)
    return current


def _set(message: Message, path: str, segment: PathSegment, value: Any) -> list[str]:
    """Set the last field of a path, and return the paths that have been set."""
    field = _field(message, segment.name, path)
    field_path = join(path, segment.name)
    if segment.select is None:
        _set_whole(message, field, field_path, value)
        return [field_path]
    if not field.is_repeated:
        raise ValueError(f"{field_path} is not repeated; leave the brackets out")
    items = getattr(message, segment.name)
    indices = _indices(items, segment, field, field_path)
    for index in indices:
        if is_message(field):
            _replace(items[index], f"{field_path}[{index}]", value)
        else:
            items[index] = _cast(value, field)
    return [f"{field_path}[{index}]" for index in indices]


def _set_whole(message: Message, field: FieldDescriptor, field_path: str, value: Any) -> None:
    if not field.is_repeated and is_message(field):
        message.ClearField(field.name)
        child = getattr(message, field.name)
        child.SetInParent()
        _replace(child, field_path, value)
    elif not field.is_repeated:
        setattr(message, field.name, _cast(value, field))
    else:
        message.ClearField(field.name)
        if isinstance(value, (list, dict)):
            _from_json({field.name: value}, message)
        else:
            _raise_problems(parse_field(_text(value), message, field, FLAG, field_path).problems)


def _replace(message: Message, field_path: str, value: Any) -> None:
    """Replace the content of a message; the outer braces are optional."""
    message.Clear()
    if isinstance(value, dict):
        _from_json(value, message)
        return
    text = _text(value).strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    _raise_problems(parse(text, message, FLAG, field_path).problems)


def _from_json(value: dict[str, Any], message: Message) -> None:
    try:
        json_format.ParseDict(value, message)
    except json_format.ParseError as error:
        raise ValueError(str(error)) from error


def _raise_problems(problems: list[Problem]) -> None:
    if problems:
        raise ConfigError(problems)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cast(value: Any, field: FieldDescriptor) -> Any:
    """Convert a JSON value or a string to the type of a scalar field."""
    if isinstance(value, (list, dict)):
        raise ValueError(f"expected one value, received {value}")
    text = _text(value)
    if field.type == FieldDescriptor.TYPE_STRING:
        return text
    text = text.strip()
    return read_scalar(Atom("word" if text[:1].isalpha() else "number", text, 1, 1), field)
