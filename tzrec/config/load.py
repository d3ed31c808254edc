"""Loading of config files: text or JSON to EasyRecConfig, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.completion import complete
from tzrec.config.datasets import advice_for_unreadable, dataset_of_files
from tzrec.config.edit import FLAG, edit
from tzrec.config.json_text import read_json
from tzrec.config.parser import Locations, Parsed, parse
from tzrec.config.schema import MISSING, missing_required
from tzrec.errors import ConfigError, Problem, StoreError
from tzrec.protos.data_pb2 import DatasetType, FgMode
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.storage.path import to_path
from tzrec.storage.url import without_file_scheme

TEXT_NAME = "<config>"
"""Name of a text without a file, in the locations of its problems."""

HEADER = f"# proto-file: {EasyRecConfig.DESCRIPTOR.file.name}\n# proto-message: {EasyRecConfig.DESCRIPTOR.full_name}\n"
"""Comments that language servers and formatters of protobuf text read."""
_PATH_END = re.compile(r"[.[]")


@dataclass(frozen=True)
class ConfigText:
    """Content of a config that is in no file: protobuf text, or JSON if it begins with a brace."""

    text: str


ConfigInput = str | ConfigText | EasyRecConfig
"""Path of a config, its text, or its message."""


@dataclass(frozen=True)
class MessageSource:
    """Message of any type with its origin: the root of a config file.

    Attributes:
        config: message.
        path: file as given by the user; `<config>` for a text, empty for a message.
        locations: field path -> (line, column) in the text, both from 1; without edited fields. Empty for JSON.
        problems: problems of the text itself; if there are any, the message is only used to find more problems.
        warnings: what is read in another way than the text says.
    """

    config: Message
    path: str = ""
    locations: Locations = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @cached_property
    def paths_with_problems(self) -> frozenset[str]:
        """Paths of the messages that contain the fields of `problems`."""
        ends = ((problem.field, end.start()) for problem in self.problems for end in _PATH_END.finditer(problem.field))
        return frozenset(path[:end] for path, end in ends)


@dataclass(frozen=True)
class ConfigSource(MessageSource):
    """Pipeline config with its origin; edits and `fg_mode` are resolved in it."""

    config: EasyRecConfig


def load_config(path: str, edits: Mapping[str, Any] | None = None, ignore_unknown: bool = False) -> EasyRecConfig:
    """Load a config that is a valid message; `check.load_checked` checks its content too.

    Args:
        path: `.json` is read as JSON, any other ending as text.
        edits: `--edit_config_json`: path -> value.
        ignore_unknown: skip fields that do not exist in this version (for the config of an exported model).

    Raises:
        ConfigError: The text or the edits have problems.
    """
    source = load_source(path, edits, ignore_unknown)
    if source.problems:
        raise ConfigError(source.problems)
    return source.config


def load_source(
    given: ConfigInput, edits: Mapping[str, Any] | None = None, ignore_unknown: bool = False
) -> ConfigSource:
    """Load a config with the locations of its fields; collect its problems instead of raising them.

    Args:
        given: path of a file, or a text, or a message, which remains as it is.
        edits: changes to the config: path -> value.
        ignore_unknown: skip fields that do not exist in this version.

    Raises:
        ConfigError: The file cannot be read, or the text has a syntax error.
    """
    config = EasyRecConfig()
    path = given if isinstance(given, str) else TEXT_NAME if isinstance(given, ConfigText) else ""
    parsed = _read_into(config, given, ignore_unknown)
    _resolve_fg_mode(config)
    if edits:
        _edit(parsed, config, edits)
    _resolve_fg_mode(config)
    _resolve_local_paths(config)
    problems = complete(config, parsed.problems)
    if not isinstance(given, str):
        problems = [_with_data_hint(problem) for problem in problems]
    _resolve_dataset_type(parsed, config, path)
    _resolve_data_group(parsed, config, path)
    return ConfigSource(config, path, parsed.locations, tuple(problems), tuple(parsed.warnings))


def _with_data_hint(problem: Problem) -> Problem:
    """Add to the problem of a config without data that Python code passes the data beside the config."""
    if problem.field != "train_input_path" or problem.message != MISSING:
        return problem
    return replace(problem, message=f"{MISSING}; or pass the data: train(config, train=...), check(config, data=...)")


def load_message_source(path: str, message: Message) -> MessageSource:
    """Load a config file of another root than a pipeline, such as that of a server; collect its problems.

    Args:
        path: `.json` is read as JSON, any other ending as text.
        message: empty; receives the fields.

    Raises:
        ConfigError: The file cannot be read, or has a syntax error.
    """
    parsed = _read_into(message, path)
    return MessageSource(message, path, parsed.locations, tuple(parsed.problems), tuple(parsed.warnings))


def load_incomplete(given: ConfigInput, edits: Mapping[str, Any] | None = None) -> EasyRecConfig:
    """Load a config whose required fields may be missing, for tools that complete it.

    Raises:
        ConfigError: The text or the edits have other problems.
    """
    source = load_source(given, edits)
    problems = [problem for problem in source.problems if not problem.message.startswith(MISSING)]
    if problems:
        raise ConfigError(problems)
    return source.config


def dump_config(config: EasyRecConfig) -> str:
    """Return text from which an equal config is loaded; its first lines name the schema, for editors."""
    return HEADER + str(text_format.MessageToString(config, as_utf8=True))


def dump_compact(config: EasyRecConfig) -> str:
    """Like `dump_config`, with the values of a repeated field in one list on one line."""
    lines: list[str] = []
    for (indent, name), group in groupby(dump_config(config).splitlines(), _repeated_field):
        field_lines = list(group)
        if not name or len(field_lines) == 1:
            lines += field_lines
            continue
        values = ", ".join(line.partition(": ")[2] for line in field_lines)
        lines.append(f"{indent}{name}: [{values}]")
    return "\n".join(lines) + "\n"


def _repeated_field(line: str) -> tuple[str, str]:
    """Indentation and name of a field with a value on its line; no name for other lines."""
    name, has_value, _ = line.partition(": ")
    is_field = has_value and name.strip().isidentifier()
    return (line[: len(line) - len(line.lstrip())], name.strip()) if is_field else (line, "")


def _read_into(message: Message, given: ConfigInput, ignore_unknown: bool = False) -> Parsed:
    if isinstance(given, EasyRecConfig):
        message.CopyFrom(given)
        return Parsed(message, problems=[Problem(missing, MISSING) for missing in missing_required(message)])
    if isinstance(given, ConfigText):
        text, path, is_json = given.text, TEXT_NAME, given.text.lstrip().startswith("{")
    else:
        text, path, is_json = read_config_text(given), given, given.endswith(".json")
    if is_json:
        return _parse_json(text, message, path, ignore_unknown)
    return parse(text, message, path, ignore_unknown=ignore_unknown)


def read_config_text(path: str) -> str:
    """Read the text of a config file.

    Raises:
        ConfigError: The file cannot be read, or is not UTF-8.
    """
    try:
        return to_path(path).read_text(encoding="utf-8-sig")
    except (OSError, StoreError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError([Problem("", f"cannot read the config: {reason}", path)]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("", f"is not UTF-8 text: byte {error.start}", path)]) from error


def _parse_json(text: str, message: Message, path: str, ignore_unknown: bool) -> Parsed:
    parsed = Parsed(message)
    try:
        content = read_json(text)
        if isinstance(content, dict):
            content.pop("$schema", None)  # for editors
        json_format.ParseDict(content, parsed.message, ignore_unknown_fields=ignore_unknown)
    except json.JSONDecodeError as error:
        raise ConfigError([Problem("", error.msg, f"{path}:{error.lineno}:{error.colno}")]) from error
    except json_format.ParseError as error:
        parsed.problems.append(Problem("", str(error), path))
        return parsed
    except ValueError as error:
        raise ConfigError([Problem("", f"is not JSON: {error}", path)]) from error
    for missing in missing_required(parsed.message):
        parsed.problems.append(Problem(missing, MISSING, path))
    return parsed


def _edit(parsed: Parsed, config: EasyRecConfig, edits: Mapping[str, Any]) -> None:
    """Apply the edits, and remove the locations of the fields they replace."""
    touched, problems = edit(config, edits)
    parsed.problems.extend(problems)
    _choose_length(config, touched)
    known = {problem.field for problem in parsed.problems}
    for missing in missing_required(config):
        if not _under(missing, known):
            parsed.problems.append(Problem(missing, f"{MISSING} after the edit", FLAG))
    for path in [located for located in parsed.locations if _under(located, touched)]:
        del parsed.locations[path]


def _choose_length(config: EasyRecConfig, touched: set[str]) -> None:
    """Clear num_steps if num_epochs is edited, and the reverse: they exclude each other."""
    steps, epochs = (f"train_config.{name}" in touched for name in ("num_steps", "num_epochs"))
    if steps and not epochs and config.train_config.num_steps:
        config.train_config.ClearField("num_epochs")
    elif epochs and not steps and config.train_config.num_epochs:
        config.train_config.ClearField("num_steps")


def _under(path: str, roots: set[str]) -> bool:
    return any(path == root or path.startswith((f"{root}.", f"{root}[")) for root in roots)


def _resolve_local_paths(config: EasyRecConfig) -> None:
    """Convert `file:` URLs to paths."""
    for message, name in ((config, "model_dir"), (config.train_config, "fine_tune_checkpoint")):
        path = getattr(message, name)
        if path != without_file_scheme(path):
            setattr(message, name, without_file_scheme(path))


def _resolve_dataset_type(parsed: Parsed, config: EasyRecConfig, file: str) -> None:
    """Read the files of a path by their own type where the dataset_type is a warehouse or a stream."""
    field = "data_config.dataset_type"
    if not config.HasField("data_config") or not advice_for_unreadable(config.data_config):
        return
    dataset = dataset_of_files(",".join((config.train_input_path, config.eval_input_path)))
    if dataset is not None:
        config.data_config.dataset_type = dataset  # type: ignore[assignment]
        text = f"the paths name files, which are read as {DatasetType.Name(config.data_config.dataset_type)}"
        _warn(parsed, field, text, file)


def _resolve_data_group(parsed: Parsed, config: EasyRecConfig, file: str) -> None:
    """Put all features into one data group if the model needs it."""
    data, member = config.data_config, registry.oneof_member(config.model_config, "model")
    if member is None or data.WhichOneof("sampler") is None or data.force_base_data_group:
        return
    if getattr(registry.requirements(member[0]), "NEEDS_BASE_DATA_GROUP", False):
        data.force_base_data_group = True
        text = f"is true here: {member[0].name} needs equal numbers of rows of all features"
        _warn(parsed, "data_config.force_base_data_group", text, file)


def _warn(parsed: Parsed, field: str, text: str, file: str) -> None:
    line, column = parsed.locations.get(field, (0, 0))
    parsed.warnings.append(Problem(field, text, f"{file}:{line}:{column}" if line else file))


def _resolve_fg_mode(config: EasyRecConfig) -> None:
    """Convert the deprecated `fg_encoded` to `fg_mode`, so that a saved config always contains the mode."""
    if not config.HasField("data_config"):
        return
    data = config.data_config
    mode = data.fg_mode
    if data.HasField("fg_encoded"):
        unencoded = FgMode.FG_DAG if data.fg_threads > 0 else FgMode.FG_NORMAL
        mode = FgMode.FG_NONE if data.fg_encoded else unencoded
        data.ClearField("fg_encoded")
    data.fg_mode = mode
