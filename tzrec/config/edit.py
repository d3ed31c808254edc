"""--edit_config_json: change fields of a config by path."""

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
_EQUAL_ONLY = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_ENUM)
_COMPARE = {"=": operator.eq, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


def apply_edits(config: Message, edits: Mapping[str, Any]) -> None:
    """Change a config in place.

    Args:
        config: usually an EasyRecConfig.
        edits: path -> value. Text is read as the field's type wants it; lists and objects of JSON are taken as they
            are. `path;path` with `value;value` are several edits in one.

    Raises:
        ConfigError: every edit that could not be made; the others have been.
    """
    _, problems = edit(config, edits)
    if problems:
        raise ConfigError(problems)


def edit(config: Message, edits: Mapping[str, Any]) -> tuple[set[str], list[Problem]]:
    """Change a config in place; the paths of the fields that have been set, and the edits that could not be made."""
    touched: set[str] = set()
    problems: list[Problem] = []
    for key, value in edits.items():
        try:
            for path, each in _pairs(key, value):
                touched |= _edit_one(config, path, each)
        except ValueError as error:
            problems.append(Problem(key, str(error), FLAG))
        except ConfigError as error:
            problems.extend(Problem(each.field or key, each.message, FLAG) for each in error.problems)
    return touched, problems


def _pairs(key: str, value: Any) -> list[tuple[str, Any]]:
    keys = split(key, ";")
    if len(keys) == 1:
        return [(keys[0], value)]
    values = value if isinstance(value, list) else split(str(value), ";")
    if len(values) != len(keys):
        raise ValueError(f"{len(keys)} paths, but {len(values)} values: {value}")
    return list(zip(keys, values, strict=True))


def _edit_one(config: Message, path: str, value: Any) -> set[str]:
    steps = parse_path(path)
    clashes: list[str] = []
    targets = list(_walk(config, "", steps[:-1], clashes))
    # `[:]` runs over features of all kinds: those of another kind are meant to be left alone, unless nothing remains
    if not targets:
        raise ValueError(clashes[0] if clashes else "selects nothing")
    return {done for message, at in targets for done in _set(message, at, steps[-1], value)}


def _field(message: Message, name: str, at: str) -> FieldDescriptor:
    fields = fields_of(message)
    if name not in fields:
        where = at or message.DESCRIPTOR.name
        raise ValueError(f'no such field "{name}" in {where}{did_you_mean(name, fields)}')
    return fields[name]


def _walk(message: Message, at: str, steps: list[PathSegment], clashes: list[str]) -> Iterator[tuple[Message, str]]:
    """The messages a path leads to, each with its own path."""
    if not steps:
        yield message, at
        return
    step, rest = steps[0], steps[1:]
    field = _field(message, step.name, at)
    here = join(at, step.name)
    if not is_message(field) or is_map(field):
        raise ValueError(f"{here} is not a message; nothing lies below it")
    clash = _clash(message, field, here)
    if clash:
        clashes.append(clash)
    elif field.is_repeated:
        items = getattr(message, step.name)
        for index in _indices(items, step, field, here):
            yield from _walk(items[index], f"{here}[{index}]", rest, clashes)
    elif step.select is not None:
        raise ValueError(f"{here} is not repeated; leave the brackets out")
    else:
        child = getattr(message, step.name)
        child.SetInParent()
        yield from _walk(child, here, rest, clashes)


def _clash(message: Message, field: FieldDescriptor, here: str) -> str:
    """Going through a member of a oneof must not silently throw away the member that is set."""
    oneof = oneof_name(field)
    chosen = message.WhichOneof(oneof) if oneof else None
    if chosen in (None, field.name):
        return ""
    return f'{here}: the {oneof} here is "{chosen}"; to choose another one, set {here} as a whole'


def _indices(items: Any, step: PathSegment, field: FieldDescriptor, here: str) -> list[int]:
    """Which elements a step selects."""
    if step.select is None:
        raise ValueError(f"{here} is repeated; say which: {step.name}[0], {step.name}[0:2] or {step.name}[:]")
    if isinstance(step.select, Condition):
        return _matches(items, step.select, field, here)
    if isinstance(step.select, slice):
        return list(range(len(items))[step.select])
    if not -len(items) <= step.select < len(items):
        raise ValueError(f"{here}[{step.select}]: there are {len(items)}")
    return [step.select % len(items)]


def _matches(items: Any, condition: Condition, field: FieldDescriptor, here: str) -> list[int]:
    if not is_message(field):
        raise ValueError(f"{here} holds plain values; select by index")
    leaf = _leaf(field, condition, here)
    try:
        wanted = _cast(condition.value, leaf)
    except ValueError as error:
        raise ValueError(f"{here}[{'.'.join(condition.names)}]: {error}") from error
    if leaf.type in _EQUAL_ONLY and condition.comparison != "=":
        raise ValueError(f'{".".join(condition.names)} is no number; compare with "=", not "{condition.comparison}"')
    found = []
    for index, item in enumerate(items):
        held = _held(item, condition.names)
        if held is not None and _COMPARE[condition.comparison](held, wanted):
            found.append(index)
    if not found:
        text = f"{'.'.join(condition.names)}{condition.comparison}{condition.value}"
        raise ValueError(f"{here}: nothing has {text}{_alternatives(items, condition)}")
    return found


def _alternatives(items: Any, condition: Condition) -> str:
    held = {str(_held(item, condition.names)) for item in items} - {"None"}
    return did_you_mean(condition.value, sorted(held), limit=0)


def _leaf(field: FieldDescriptor, condition: Condition, here: str) -> FieldDescriptor:
    """The scalar field a condition compares."""
    at = f"{here}[]"
    for name in condition.names:
        if not is_message(field):
            raise ValueError(f"{at} is not a message; nothing lies below it")
        fields = message_type(field).fields_by_name
        if name not in fields:
            raise ValueError(f'no such field "{name}" in {at}{did_you_mean(name, fields)}')
        field, at = fields[name], f"{at}.{name}"
        if field.is_repeated:
            raise ValueError(f"{at} is repeated; compare a single value")
    if is_message(field):
        raise ValueError(f"{at} is a message; compare one of its fields")
    return field


def _held(item: Message, names: tuple[str, ...]) -> Any:
    """What an element holds at a nested path; None where a message on the way, or the value, is not set."""
    held: Any = item
    for name in names:
        if not held.HasField(name):
            return None
        held = getattr(held, name)
    return held


def _set(message: Message, at: str, step: PathSegment, value: Any) -> list[str]:
    """Set the last field of a path; the paths that have been set."""
    field = _field(message, step.name, at)
    here = join(at, step.name)
    if step.select is None:
        _set_whole(message, field, here, value)
        return [here]
    if not field.is_repeated:
        raise ValueError(f"{here} is not repeated; leave the brackets out")
    items = getattr(message, step.name)
    indices = _indices(items, step, field, here)
    for index in indices:
        if is_message(field):
            _replace(items[index], f"{here}[{index}]", value)
        else:
            items[index] = _cast(value, field)
    return [f"{here}[{index}]" for index in indices]


def _set_whole(message: Message, field: FieldDescriptor, here: str, value: Any) -> None:
    if not field.is_repeated and is_message(field):
        message.ClearField(field.name)
        child = getattr(message, field.name)
        child.SetInParent()
        _replace(child, here, value)
    elif not field.is_repeated:
        setattr(message, field.name, _cast(value, field))
    else:
        message.ClearField(field.name)
        if isinstance(value, (list, dict)):
            _from_json({field.name: value}, message)
        else:
            _raise(parse_field(_text(value), message, field, FLAG, here).problems)


def _replace(message: Message, here: str, value: Any) -> None:
    """Clear a message and read it anew; the outer braces may be left out."""
    message.Clear()
    if isinstance(value, dict):
        _from_json(value, message)
        return
    text = _text(value).strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    _raise(parse(text, message, FLAG, here).problems)


def _from_json(value: dict[str, Any], message: Message) -> None:
    try:
        json_format.ParseDict(value, message)
    except json_format.ParseError as error:
        raise ValueError(str(error)) from error


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise ConfigError(problems)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cast(value: Any, field: FieldDescriptor) -> Any:
    """A value of JSON, or text, as the type of a scalar field."""
    if isinstance(value, (list, dict)):
        raise ValueError(f"expected one value, received {value}")
    text = _text(value)
    if field.type == FieldDescriptor.TYPE_STRING:
        return text
    text = text.strip()
    return read_scalar(Atom("word" if text[:1].isalpha() else "number", text, 1, 1), field)
