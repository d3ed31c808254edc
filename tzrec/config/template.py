"""Template of a config for a model: a small config that trains on synthetic data, with the meaning of its fields.

The config is an example of this package with few features; comments and fields that are not set come from the schema.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.canonical import format_text
from tzrec.config.comments import comments
from tzrec.config.field_text import message_text, parts_of, value_text
from tzrec.config.load import HEADER, load_config
from tzrec.config.options import field_rule
from tzrec.config.schema import fields_of, is_message, is_set, oneof_of
from tzrec.protos.data_pb2 import DataConfig
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.model_pb2 import FeatureGroupConfig, ModelConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_PACKAGE = Path(__file__).parents[1]
_FEATURES = ("user_id", "age_level", "adgroup_id", "cate_id", "price")
"""Features that a large group keeps, where it has them."""
_MAX_GROUP = 6
_MAX_BUCKETS = 20_000
_BATCH_SIZE = 512
_WIDTH, _INLINE = 118, 76


def example_configs() -> Path:
    """Return the folder with the example configs: that of the wheel, or that of a checkout of the source."""
    packaged = _PACKAGE / "example_configs"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "examples" / "configs"


def template_models() -> Mapping[str, Path]:
    """Map the models that have a template to their example, in the order of the schema."""
    fields = oneof_of(ModelConfig, "model").fields
    names = [field.name for field in fields if registry.is_implemented(field) and field.name != "custom"]
    paths = {name: [example_configs() / f"{name}_{data}.config" for data in ("taobao", "criteo")] for name in names}
    return {name: path for name, files in paths.items() for path in files[::-1] if path.is_file()}


def describe(model: str) -> str:
    """Return the comment of a model in the schema."""
    text = comments()[f"{ModelConfig.DESCRIPTOR.full_name}.{model}"].removeprefix("tzrec: ")
    return text[:1].upper() + text[1:]


def template(model: str) -> str:
    """Return the text of the template of a model.

    Args:
        model: one of `template_models()`.

    Example:
        template("mmoe")
    """
    path = template_models()[model]
    config = load_config(str(path))
    _reduce(config, model, path.stem)
    lines = [*_head(model), *_TemplateText().message(config, "")]
    return format_text("\n".join(lines))


def _reduce(config: EasyRecConfig, model: str, example: str) -> None:
    """Keep few features, small tables and paths of the model's own."""
    groups = config.model_config.feature_groups
    for group in groups:
        if len(group.feature_names) > _MAX_GROUP:
            names = [name for name in group.feature_names if name in _FEATURES] or group.feature_names[:_MAX_GROUP]
            group.feature_names[:] = names
    kept = {name.partition("__")[0] for group in groups for name in _listed(group)}
    features = [entry for entry in config.feature_configs if _feature_name(entry) in kept or _is_stub(entry)]
    del config.feature_configs[:]
    config.feature_configs.extend(features)
    has_sampler = config.data_config.WhichOneof("sampler") is not None
    for entry in config.feature_configs:
        feature = getattr(entry, entry.WhichOneof("feature") or "")
        if not has_sampler and getattr(feature, "num_buckets", 0) > _MAX_BUCKETS:
            feature.num_buckets = _MAX_BUCKETS
    config.model_dir = f"experiments/{model}"
    config.train_input_path = f"data/{model}/train/*.parquet"
    config.eval_input_path = f"data/{model}/eval/*.parquet"
    config.data_config.batch_size = min(config.data_config.batch_size, _BATCH_SIZE)
    for sampler in _samplers(config.data_config):
        for name in [name for name in fields_of(sampler) if name.endswith("input_path") and is_set(sampler, name)]:
            setattr(sampler, name, getattr(sampler, name).replace(f"data/{example}/", f"data/{model}/"))


def _samplers(data: DataConfig) -> list[Message]:
    member = registry.oneof_member(data, "sampler")
    return [member[1]] if member else []


def _listed(group: FeatureGroupConfig) -> list[str]:
    """List the features of a group and of its sequence groups."""
    return [*group.feature_names, *(name for inner in group.sequence_groups for name in inner.feature_names)]


def _feature_name(entry: FeatureConfig) -> str:
    member = registry.oneof_member(entry, "feature")
    assert member is not None
    message = member[1]
    name = "sequence_name" if "sequence_name" in fields_of(message) else "feature_name"
    return str(getattr(message, name))


def _is_stub(entry: FeatureConfig) -> bool:
    member = registry.oneof_member(entry, "feature")
    return bool(getattr(member[1], "stub_type", False)) if member else False


def _head(model: str) -> Iterator[str]:
    yield from HEADER.splitlines()
    yield "#"
    yield from textwrap.wrap(f"# {model}: {describe(model)}", _WIDTH, subsequent_indent="# ")
    yield "#"
    yield from (
        "# Synthetic data for it, and the first run:",
        f"#   python -m tzrec.tools.make_data --pipeline_config {model}.config --output_dir data/{model}",
        f"#   tzrec train --pipeline_config {model}.config",
        "#",
        "# For data of your own change the paths, label_fields, feature_configs and the feature_names of the groups.",
        "# `tzrec check` finds what is left to change; `tzrec init` writes feature_configs from a table.",
        "",
    )


class _TemplateText:
    """Writes the fields of messages; the first one of each kind has its meaning before it."""

    def __init__(self) -> None:
        self._explained: set[str] = set()

    def message(self, message: Message, indent: str) -> Iterator[str]:
        """Write the fields of a message."""
        is_root = not indent
        for field, value in message.ListFields():
            for index, part in enumerate(parts_of(message, field, value)):
                if is_root and is_message(field) and not (index and field.name == "feature_configs"):
                    yield ""
                yield from self._field(field, part, indent)
        if self._is_model(message):
            yield from self._open_fields(message, indent)

    def _field(self, field: FieldDescriptor, value: object, indent: str) -> Iterator[str]:
        if field.full_name not in self._explained:
            self._explained.add(field.full_name)
            yield from _comment(comments().get(field.full_name, ""), indent)
        if not is_message(field):
            yield f"{indent}{field.name}: {value_text(field, value)}"
            return
        assert isinstance(value, Message)
        inline = f"{field.name} {message_text(value)}"
        is_known = all(part.full_name in self._explained for part, _ in value.ListFields())
        if len(inline) <= _INLINE and (is_known or not self._is_worth_explaining(value)):
            yield f"{indent}{inline}"
            return
        yield f"{indent}{field.name} {{"
        yield from self.message(value, f"{indent}  ")
        yield f"{indent}}}"

    def _is_worth_explaining(self, message: Message) -> bool:
        """True if the fields of a message are not explained by its own comment: it has more than one."""
        return len(message.ListFields()) > 1 or self._is_model(message)

    def _is_model(self, message: Message) -> bool:
        return message.DESCRIPTOR in {field.message_type for field in oneof_of(ModelConfig, "model").fields}

    def _open_fields(self, message: Message, indent: str) -> Iterator[str]:
        """Write the fields of a model that are not set as comments, with their defaults."""
        for name, field in fields_of(message).items():
            if is_set(message, name) or field_rule(field).unsupported or field_rule(field).ignored:
                continue
            yield ""
            yield from _comment(comments().get(field.full_name, ""), indent)
            if is_message(field):
                yield f"{indent}# {name} {{}}"
            else:
                yield f"{indent}# {name}: {value_text(field, [] if field.is_repeated else field.default_value)}"


def _comment(text: str, indent: str = "") -> list[str]:
    text = text.removeprefix("tzrec: ")
    return [f"{indent}# {line}" for line in textwrap.wrap(text[:1].upper() + text[1:], _WIDTH - len(indent))]
