"""JSON Schema of configs in JSON, for completion and validation in editors.

It is derived from the schema of configs, their comments and the rules of their fields. It accepts what `tzrec check`
accepts, except that enums are written as names and numbers of 32 bits without quotes. References between fields, such
as the features of a group, are known to `tzrec check` only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, OneofDescriptor

from tzrec import registry
from tzrec.config.comments import comments
from tzrec.config.completion import may_be_completed
from tzrec.config.options import (
    field_rule,
    ignored_value,
    implemented_members,
    unreadable_value,
    unsupported_value,
    use_instead,
)
from tzrec.config.schema import enum_type, is_map, is_message, message_type
from tzrec.protos.options_pb2 import FieldRule

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_KEY = "$schema"
"""Key of the root of a JSON config that names its schema for editors."""

_KEY_TEXT = "Schema of this file, for editors."
_STRUCT = "google.protobuf.Struct"
_SIGNED = {FieldDescriptor.TYPE_INT32: 32, FieldDescriptor.TYPE_INT64: 64}
_UNSIGNED = {FieldDescriptor.TYPE_UINT32: 32, FieldDescriptor.TYPE_UINT64: 64}
_REAL = (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE)


def json_schema(root: Descriptor) -> Schema:
    """Return the JSON Schema of the JSON form of a message.

    Fields have the names of the schema; their names in lowerCamelCase, which protobuf reads too, are accepted, but not
    offered by editors.

    Example:
        json_schema(EasyRecConfig.DESCRIPTOR)
    """
    definitions: Schema = {}
    _define(root, definitions)
    properties = definitions[_key(root)]["properties"]
    definitions[_key(root)]["properties"] = {SCHEMA_KEY: {"type": "string", "description": _KEY_TEXT}, **properties}
    return {SCHEMA_KEY: DIALECT, "title": root.name, "$ref": f"#/$defs/{_key(root)}", "$defs": definitions}


def _key(described: Descriptor | EnumDescriptor) -> str:
    """Return the name of a type in the schema: `MMoE`, or `TuneConfig.Direction` for a type inside of a message."""
    return described.full_name.removeprefix(f"{described.file.package}.")


def _define(message: Descriptor, definitions: Schema) -> None:
    """Add the schemas of a message and of all types that its fields have."""
    if _key(message) in definitions:
        return
    definitions[_key(message)] = {}  # a message may contain itself
    definitions[_key(message)] = _message(message)
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_ENUM:
            definitions.setdefault(_key(enum_type(field)), _enum(enum_type(field)))
        elif is_message(field) and not is_map(field) and message_type(field).full_name != _STRUCT:
            _define(message_type(field), definitions)


def _message(message: Descriptor) -> Schema:
    schema: Schema = {"type": "object"}
    if comments().get(message.full_name):
        schema["description"] = comments()[message.full_name]
    schema["properties"] = {field.name: _field(field) for field in message.fields}
    camel = [field for field in message.fields if field.json_name != field.name]
    if camel:
        schema["patternProperties"] = {
            f"^{re.escape(field.json_name)}$": {"$ref": f"#/$defs/{_key(message)}/properties/{field.name}"}
            for field in camel
        }
    schema["additionalProperties"] = False
    rules = [*map(_presence, filter(_is_required, message.fields)), *map(_one_of, message.oneofs)]
    rules = [rule for rule in rules if rule]
    plain = [rule["required"][0] for rule in rules if set(rule) == {"required"}]
    if plain:
        schema["required"] = plain
    combined = [rule for rule in rules if set(rule) != {"required"}]
    if combined:
        schema["allOf"] = combined
    return schema


def _is_required(field: FieldDescriptor) -> bool:
    rule = field_rule(field)
    if rule.must_be_set or (rule.non_empty and field.is_repeated):
        return True
    return bool(field.is_required) and not may_be_completed(field)


def _presence(field: FieldDescriptor) -> Schema:
    """Return the schema of the objects that have a field, under either of its names."""
    if field.json_name == field.name:
        return {"required": [field.name]}
    return {"anyOf": [{"required": [name]} for name in (field.name, field.json_name)]}


def _one_of(oneof: OneofDescriptor) -> Schema:
    """Return the schema of the objects with at most one member of a oneof."""
    members = [_presence(field) for field in oneof.fields]
    return {"oneOf": [*members, {"not": {"anyOf": members}}]} if len(members) > 1 else {}


def _field(field: FieldDescriptor) -> Schema:
    rule = field_rule(field)
    schema: Schema = {"description": _description(field)}
    if field.has_default_value:
        schema["default"] = _default(field)
    if not registry.is_implemented(field) or (rule.unsupported and (is_message(field) or field.is_repeated)):
        return {**schema, "not": {}}
    if rule.unsupported:
        return {**schema, "const": _default(field)}
    if rule.ignored:
        schema["deprecated"] = True
    if is_map(field):
        value = message_type(field).fields_by_name["value"]
        return {**schema, "type": "object", "additionalProperties": _value(value, field_rule(value))}
    if field.is_repeated:
        few = {"minItems": 1} if rule.non_empty else {}
        return {**schema, "type": "array", "items": _value(field, rule), **few}
    return schema | _value(field, rule)


def _value(field: FieldDescriptor, rule: FieldRule) -> Schema:
    """Return the schema of one value of a field."""
    if is_message(field):
        is_struct = message_type(field).full_name == _STRUCT
        return {"type": "object"} if is_struct else {"$ref": f"#/$defs/{_key(message_type(field))}"}
    if field.type == FieldDescriptor.TYPE_ENUM:
        return {"$ref": f"#/$defs/{_key(enum_type(field))}"}
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(rule)
    bounds = _bounds(rule)
    if field.type in _REAL:
        special = _infinities(rule)
        number: Schema = {"type": "number", **bounds}
        return {"anyOf": [number, {"enum": special}]} if special else number
    return _integer(field, bounds)


def _integer(field: FieldDescriptor, bounds: Schema) -> Schema:
    """Return the schema of an integer; one of 64 bits may be text, since JavaScript has no such numbers."""
    bits = _SIGNED.get(field.type) or _UNSIGNED[field.type]
    is_signed = field.type in _SIGNED
    smallest, largest = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    number: Schema = {"type": "integer", "minimum": smallest, "maximum": largest} | bounds
    pattern = "^-?[0-9]+$" if is_signed else "^[0-9]+$"
    return {"anyOf": [number, {"type": "string", "pattern": pattern}]} if bits == 64 else number


def _bounds(rule: FieldRule) -> Schema:
    bounds: Schema = {}
    if rule.HasField("min"):
        bounds["exclusiveMinimum" if rule.exclusive_min else "minimum"] = rule.min
    if rule.HasField("max"):
        bounds["exclusiveMaximum" if rule.exclusive_max else "maximum"] = rule.max
    return bounds


def _infinities(rule: FieldRule) -> list[str]:
    """List the words of JSON for numbers that are not finite and within the bounds of a rule."""
    has_min, has_max = rule.HasField("min"), rule.HasField("max")
    words = (("Infinity", not has_max), ("-Infinity", not has_min), ("NaN", not has_min and not has_max))
    return [word for word, is_allowed in words if is_allowed]


def _text(rule: FieldRule) -> Schema:
    if not rule.one_of:
        return {"type": "string", "minLength": 1} if rule.non_empty else {"type": "string"}
    if rule.ignore_case:
        letters = (
            "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else re.escape(c) for c in w) for w in rule.one_of
        )
        return {"type": "string", "pattern": f"^({'|'.join(letters)})$", "examples": list(rule.one_of)}
    return {"enum": list(rule.one_of)}


def _enum(enum: EnumDescriptor) -> Schema:
    supported = [value for value in enum.values if not unsupported_value(value)]
    text = comments().get(enum.full_name, "")
    meanings = [f"{value.name}: {_meaning(value)}" for value in supported if _meaning(value)]
    return {"description": "\n".join([text, *meanings]).strip(), "enum": [value.name for value in supported]}


def _meaning(value: EnumValueDescriptor) -> str:
    # values are named in the scope around their enum
    comment = comments().get(f"{value.type.full_name}.{value.name}", "")
    reason = ignored_value(value)
    notes = [comment, f"No effect: {reason}." if reason else "", _sentence("Cannot be read", unreadable_value(value))]
    return " ".join(note for note in notes if note)


def _description(field: FieldDescriptor) -> str:
    return " ".join(part for part in _notes(field) if part)


def _notes(field: FieldDescriptor) -> Iterator[str]:
    rule = field_rule(field)
    yield comments().get(field.full_name, "")
    if rule.unsupported:
        yield f"Not supported; {rule.unsupported}."
    if rule.ignored:
        yield f"No effect: {rule.ignored}."
    oneof = field.containing_oneof
    if oneof is not None and not registry.is_implemented(field):
        instead = use_instead(oneof) or f"use one of {', '.join(implemented_members(oneof))}"
        yield f"Not supported; {instead}."
    if rule.increasing:
        yield "Increasing."


def _sentence(start: str, rest: str) -> str:
    return f"{start}; {rest}." if rest else ""


def _default(field: FieldDescriptor) -> Any:
    if field.type == FieldDescriptor.TYPE_ENUM:
        return enum_type(field).values_by_number[field.default_value].name
    value = field.default_value
    return float(f"{value:.7g}") if field.type == FieldDescriptor.TYPE_FLOAT else value
