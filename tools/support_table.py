"""Table of supported parts: what of the schema is implemented, generated from the schema."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from markdown_table import markdown_table

from tzrec import registry
from tzrec.config.options import field_rule, unreadable_value, unsupported_value
from tzrec.config.schema import enum_type, is_map, is_message, message_type
from tzrec.protos.data_pb2 import DataConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_KINDS = {
    "models": ("ModelConfig.model",),
    "features, each also as a sequence": ("SeqFeatureConfig.feature",),
    "sequence encoders": ("SeqEncoderConfig.seq_module",),
    "samplers": ("DataConfig.sampler",),
    "losses": ("LossConfig.loss", "LossConfig.sid_loss"),
    "metrics": ("MetricConfig.metric",),
    "optimizers of tables": ("SparseOptimizer.optimizer",),
    "optimizers of other parameters": ("DenseOptimizer.optimizer",),
    "learning rates": ("DenseOptimizer.learning_rate",),
}
"""Rows of the table: the oneofs whose members they list."""

_MANAGED = ("zch", "dynamicemb")
"""Fields that choose a managed table."""


def messages() -> dict[str, Descriptor]:
    """All messages of the schema by name, from the root down, also those of parts that are not supported."""
    by_name: dict[str, Descriptor] = {}
    queue: list[Descriptor] = [_descriptor(EasyRecConfig)]
    while queue:
        message = queue.pop(0)
        if message.name not in by_name and message.file.package == "tzrec.protos":
            by_name[message.name] = message
            queue += [message_type(field) for field in message.fields if is_message(field) and not is_map(field)]
    return by_name


def is_supported(field: FieldDescriptor) -> bool:
    """True if a config may have the field."""
    return not field_rule(field).unsupported and registry.is_implemented(field)


def table() -> str:
    """Write the table in Markdown."""
    schema = messages()
    rows: list[list[str]] = [["part", "supported", "not supported yet"]]
    for kind, names in _KINDS.items():
        fields = [field for name in names for field in _oneof(schema, name).fields]
        rows.append([kind, *_split(fields)])
    rows.append(["tables", *_tables(schema)])
    rows.append(["sources", *_sources()])
    rows.append(["fields that `tzrec check` warns about: they have no effect", _list(_ignored(schema)), "-"])
    rows.append(["fields of the above and of other messages", "all others", _list(_partial(schema))])
    return markdown_table(rows)


def _oneof(schema: dict[str, Descriptor], name: str) -> OneofDescriptor:
    message, oneof = name.split(".")
    return schema[message].oneofs_by_name[oneof]


def _split(fields: list[FieldDescriptor]) -> tuple[str, str]:
    """Names of the supported members and of the others."""
    return tuple(  # type: ignore[return-value]
        _list(field.name for field in fields if is_supported(field) is supported) for supported in (True, False)
    )


def _tables(schema: dict[str, Descriptor]) -> tuple[str, str]:
    """Ways to bucketize ids into rows of a table."""
    fields = schema["IdFeature"].fields_by_name
    names = ("hash_bucket_size", "num_buckets", "vocab_list", "vocab_dict", "vocab_file", *_MANAGED)
    supported, rest = _split([fields[name] for name in names])
    return f"{supported}; `boundaries` of numbers", rest


def _sources() -> tuple[str, str]:
    values = list(enum_type(_descriptor(DataConfig).fields_by_name["dataset_type"]).values)
    readable = [value.name for value in values if not unreadable_value(value) and not unsupported_value(value)]
    files_only = [value.name for value in values if unreadable_value(value)]
    return (
        f"{_list(readable)}; {_list(files_only)} where the paths name files",
        f"tables and topics of {_list(files_only)}",
    )


def _descriptor(message: Any) -> Descriptor:
    return message.DESCRIPTOR  # type: ignore[no-any-return]


def _partial(schema: dict[str, Descriptor]) -> Iterator[str]:
    """Fields and words of supported messages that are not supported, as `Message.field`."""
    members = {field.full_name for names in _KINDS.values() for name in names for field in _oneof(schema, name).fields}
    owners: dict[str, list[str]] = defaultdict(list)
    for message in _supported(schema):
        for field in message.fields:
            if field.name not in _MANAGED and field.full_name not in members and not is_supported(field):
                owners[field.name].append(message.name)
            for word in field_rule(field).unsupported_words:
                owners[f'{field.name}: "{word}"'].append(message.name)
    for name, names in owners.items():
        yield from (f"{owner}.{name}" for owner in names)


def _ignored(schema: dict[str, Descriptor]) -> Iterator[str]:
    """Fields of supported messages that have no effect, as `Message.field`."""
    for message in _supported(schema):
        yield from (f"{message.name}.{field.name}" for field in message.fields if field_rule(field).ignored)


def _supported(schema: dict[str, Descriptor]) -> Iterator[Descriptor]:
    """Messages below supported fields."""
    seen: set[str] = set()
    queue: list[Descriptor] = [schema["EasyRecConfig"]]
    while queue:
        message = queue.pop(0)
        if message.name in seen or message.name not in schema:
            continue
        seen.add(message.name)
        yield message
        queue += [message_type(field) for field in message.fields if is_message(field) and is_supported(field)]


def _list(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names) or "-"
