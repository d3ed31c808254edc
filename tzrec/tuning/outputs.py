"""Files of a study: the tuned config, the table of trials and the page."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import json_format

from tzrec.config.edit import apply_edits
from tzrec.config.load import ConfigInput, ConfigText, dump_config, load_source
from tzrec.config.patch import patch
from tzrec.data.atomic import write_text
from tzrec.errors import ConfigError
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.storage.path import to_path
from tzrec.tuning.space import Edits, copy_config

NAME = "tuned"


def write_tuned(given: ConfigInput, config: EasyRecConfig, edits: Edits, directory: Path) -> Path:
    """Write the starting config with other values, as text with the comments and the order of the original.

    Args:
        given: path, text or message of the starting config.
        config: the same, loaded and with the edits of the user.
        edits: path -> value.
        directory: of the file, which is JSON if the starting config is.

    Returns:
        The file.
    """
    tuned = copy_config(config)
    apply_edits(tuned, edits)
    text = _text(given)
    if isinstance(given, str) and given.endswith(".json"):
        path = directory / f"{NAME}.json"
        write_text(path, json_format.MessageToJson(tuned, preserving_proto_field_name=True) + "\n")
        return path
    path = directory / f"{NAME}.config"
    patched = "" if text is None else patch(text, load_source(given).config, tuned)
    if patched and _loads_as(patched, tuned):
        write_text(path, patched)
    else:
        if patched:
            logger.warning("%s has no comments: they could not be kept", path)
        write_text(path, dump_config(tuned))
    return path


def _loads_as(text: str, config: EasyRecConfig) -> bool:
    try:
        return load_source(ConfigText(text)).config == config
    except ConfigError:
        return False


def _text(given: ConfigInput) -> str | None:
    """Return the protobuf text of a config; None for a message or JSON."""
    if isinstance(given, str):
        return None if given.endswith(".json") else to_path(given).read_text(encoding="utf-8-sig")
    is_json = isinstance(given, ConfigText) and given.text.lstrip().startswith("{")
    return given.text if isinstance(given, ConfigText) and not is_json else None
