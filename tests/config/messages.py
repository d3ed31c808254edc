"""Random messages of the schema, for the tests that hold our reading of text equal to protobuf's."""

from __future__ import annotations

import random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

STRINGS = ("", "a", "user:price", "it's", 'say "x"', "\x1d\x03", "tab\tline\nback\\slash", "数字", "# no comment")
FLOATS = (0.0, -1.5, 0.1, 1e-10, 3.4e38, float("inf"), float("-inf"), 65536.0)


def fill(message: Message, rng: random.Random, depth: int = 6) -> None:
    """Set about half of the fields, all required ones, at most one member of each oneof."""
    chosen = {oneof.name: rng.choice(oneof.fields).name for oneof in message.DESCRIPTOR.oneofs}
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        wanted = field.name == chosen[oneof.name] if oneof else rng.random() < 0.5
        if field.is_required or (wanted and depth > 0):
            _set(message, field, rng, depth)


def _set(message: Message, field: FieldDescriptor, rng: random.Random, depth: int) -> None:
    count = rng.randint(0, 3)
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        _set_map(message, field, rng, depth, count)
    elif field.type == FieldDescriptor.TYPE_MESSAGE and field.is_repeated:
        for _ in range(count):
            fill(getattr(message, field.name).add(), rng, depth - 1)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
        fill(getattr(message, field.name), rng, depth - 1)
    elif field.is_repeated:
        getattr(message, field.name).extend(_scalar(field, rng) for _ in range(count))
    else:
        setattr(message, field.name, _scalar(field, rng))


def _set_map(message: Message, field: FieldDescriptor, rng: random.Random, depth: int, count: int) -> None:
    value = field.message_type.fields_by_name["value"]
    items: Any = getattr(message, field.name)
    for _ in range(count):
        key = rng.choice(STRINGS)
        if value.type == FieldDescriptor.TYPE_MESSAGE:
            fill(items[key], rng, depth - 2)
        else:
            items[key] = _scalar(value, rng)


def _scalar(field: FieldDescriptor, rng: random.Random) -> Any:
    bits = {FieldDescriptor.TYPE_UINT32: (0, 2**32), FieldDescriptor.TYPE_UINT64: (0, 2**64)}
    bits |= {FieldDescriptor.TYPE_INT32: (-(2**31), 2**31), FieldDescriptor.TYPE_INT64: (-(2**63), 2**63)}
    if field.type == FieldDescriptor.TYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(STRINGS)
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return rng.choice((*FLOATS, rng.uniform(-10, 10)))
    low, high = bits[field.type]
    return rng.choice((0, 1, low, high - 1, rng.randrange(low, high)))
