"""A config file -> EasyRecConfig, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format, text_format

from tzrec.config.edit import FLAG, edit
from tzrec.config.parser import Locations, Parsed, parse
from tzrec.config.schema import MISSING, missing_required
from tzrec.errors import ConfigError, Problem
from tzrec.protos.data_pb2 import FgMode
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@dataclass(frozen=True)
class ConfigSource:
    """A config and where it came from.

    Attributes:
        config: the message, edits applied, `fg_mode` resolved.
        path: the file as the user named it.
        locations: field path -> (line, column) in the file, both from 1; without edited fields; empty for JSON.
        problems: what was wrong with the text itself; the message is then only good for finding more.
    """

    config: EasyRecConfig
    path: str = ""
    locations: Locations = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def load_config(path: str, edits: Mapping[str, Any] | None = None, ignore_unknown: bool = False) -> EasyRecConfig:
    """Read a config that is good as a message; `check.load_checked` also looks at what it says.

    Args:
        path: `.json` is read as JSON, any other ending as text.
        edits: `--edit_config_json`: path -> value.
        ignore_unknown: leave fields out that this version does not know (for the config of an exported model).

    Raises:
        ConfigError: with all problems of the text and of the edits.
    """
    source = load_source(path, edits, ignore_unknown)
    if source.problems:
        raise ConfigError(source.problems)
    return source.config


def load_source(path: str, edits: Mapping[str, Any] | None = None, ignore_unknown: bool = False) -> ConfigSource:
    """Read a config with its places, its problems collected instead of raised.

    Raises:
        ConfigError: the file cannot be read or its syntax is broken.
    """
    text = _read(path)
    read = _parse_json if path.endswith(".json") else _parse_text
    parsed = read(text, path, ignore_unknown)
    config = parsed.message
    assert isinstance(config, EasyRecConfig)
    _resolve_fg_mode(config)
    if edits:
        _edit(parsed, config, edits)
    _resolve_fg_mode(config)
    return ConfigSource(config, path, parsed.locations, tuple(parsed.problems))


def dump_config(config: EasyRecConfig) -> str:
    """Text that loads back equal."""
    return str(text_format.MessageToString(config, as_utf8=True))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem("", f"cannot read the config: {error.strerror}", path)]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("", f"is not UTF-8 text: byte {error.start}", path)]) from error


def _parse_text(text: str, path: str, ignore_unknown: bool) -> Parsed:
    return parse(text, EasyRecConfig(), path, ignore_unknown=ignore_unknown)


def _parse_json(text: str, path: str, ignore_unknown: bool) -> Parsed:
    parsed = Parsed(EasyRecConfig())
    try:
        json_format.ParseDict(json.loads(text), parsed.message, ignore_unknown_fields=ignore_unknown)
    except json.JSONDecodeError as error:
        raise ConfigError([Problem("", error.msg, f"{path}:{error.lineno}:{error.colno}")]) from error
    except json_format.ParseError as error:
        parsed.problems.append(Problem("", str(error), path))
        return parsed
    for missing in missing_required(parsed.message):
        parsed.problems.append(Problem(missing, MISSING, path))
    return parsed


def _edit(parsed: Parsed, config: EasyRecConfig, edits: Mapping[str, Any]) -> None:
    """Apply the edits, and forget the places of what they replace."""
    touched, problems = edit(config, edits)
    parsed.problems.extend(problems)
    _choose_length(config, touched)
    known = {problem.field for problem in parsed.problems}
    for missing in missing_required(config):
        if not _under(missing, known):
            parsed.problems.append(Problem(missing, f"{MISSING} after the edit", FLAG))
    for path in [each for each in parsed.locations if _under(each, touched)]:
        del parsed.locations[path]


def _choose_length(config: EasyRecConfig, touched: set[str]) -> None:
    """Steps and epochs exclude each other: an edit of one of them replaces what the text says of the other."""
    steps, epochs = (f"train_config.{name}" in touched for name in ("num_steps", "num_epochs"))
    if steps and not epochs and config.train_config.num_steps:
        config.train_config.ClearField("num_epochs")
    elif epochs and not steps and config.train_config.num_epochs:
        config.train_config.ClearField("num_steps")


def _under(path: str, roots: set[str]) -> bool:
    return any(path == root or path.startswith((f"{root}.", f"{root}[")) for root in roots)


def _resolve_fg_mode(config: EasyRecConfig) -> None:
    """Put the deprecated `fg_encoded` into `fg_mode`, so that a saved config says its mode."""
    if not config.HasField("data_config"):
        return
    data = config.data_config
    mode = data.fg_mode
    if data.HasField("fg_encoded"):
        unencoded = FgMode.FG_DAG if data.fg_threads > 0 else FgMode.FG_NORMAL
        mode = FgMode.FG_NONE if data.fg_encoded else unencoded
        data.ClearField("fg_encoded")
    data.fg_mode = mode
