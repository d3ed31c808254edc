"""Fields of a config that differ from their defaults, and the fields in which configs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec.protos.pipeline_pb2 import EasyRecConfig

_NAMES = ("feature_name", "sequence_name", "group_name", "tower_name", "task_name")
"""Fields whose value names an entry of a list, so that its path does not change with its position."""


def parse(text: str) -> EasyRecConfig:
    """Read the text of a resolved config; fields of a newer version are left out."""
    return text_format.Parse(text, EasyRecConfig(), allow_unknown_field=True)


def fields(message: Message, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield path, value and default of each field that is set; a required one and a list have no default."""
    for field, value in message.ListFields():
        name = f"{path}.{field.name}" if path else field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield name, ", ".join(f"{key}: {value[key]}" for key in value), ""
        elif field.is_repeated:
            if field.message_type is None:
                yield name, ", ".join(_text(field, item) for item in value), ""
            else:
                for index, item in enumerate(value):
                    yield from fields(item, f"{name}[{_entry_name(item) or index}]")
        elif field.message_type is not None:
            members = list(fields(value, name))
            yield from members or [(name, "{}", "")]
        else:
            default = _text(field, field.default_value) if field.has_default_value else ""
            yield name, _text(field, value), default


def changed_fields(config: EasyRecConfig) -> list[dict[str, str]]:
    """List the fields outside of features whose value is not the default, as rows of a table."""
    return [
        {"field": path, "value": value, "default": default or "—"}
        for path, value, default in fields(config)
        if value != default and not path.startswith("feature_configs")
    ]


def differences(configs: Sequence[EasyRecConfig]) -> list[tuple[str, list[str]]]:
    """List the fields in which configs differ, with the value in each; a field that is not set has its default."""
    values: list[Mapping[str, str]] = []
    defaults: dict[str, str] = {}
    for config in configs:
        listed = list(fields(config))
        values.append({path: value for path, value, _ in listed})
        defaults |= {path: default for path, _, default in listed}
    rows = [(path, [value.get(path, default or "—") for value in values]) for path, default in defaults.items()]
    return [(path, texts) for path, texts in rows if len(set(texts)) > 1]


def _entry_name(message: Message) -> str:
    """Name of an entry of a list: its own, or that of the only message in it."""
    for field, value in message.ListFields():
        if field.name in _NAMES:
            return str(value)
    members = [value for field, value in message.ListFields() if field.message_type is not None]
    if len(members) == 1 and isinstance(members[0], Message):
        return _entry_name(members[0])
    return ""


def _text(field: FieldDescriptor, value: Any) -> str:
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value).lower() if isinstance(value, bool) else str(value)
