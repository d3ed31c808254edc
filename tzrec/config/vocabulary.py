"""Vocabulary files: one word per line, or `word id`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tzrec.protos.pipeline_pb2 import EasyRecConfig

_NUMBERED = re.compile(r"(.*\S) +([0-9]+)")


def vocabulary_path(config: Any) -> Path:
    """Return the path of the vocabulary file of a feature message."""
    return Path(config.asset_dir) / config.vocab_file


def read_vocabulary(path: Path) -> dict[str, int]:
    """Read words and their ids: those of the file, or the index of a word among the distinct words of the file.

    Raises:
        ValueError: The file cannot be read, is empty, or has ids for some of its words only.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ValueError(f"{path} cannot be read: {reason}") from None
    if not lines:
        raise ValueError(f"{path} has no words")
    pairs = [_NUMBERED.fullmatch(line) for line in lines]
    if not any(pairs):
        return {word: i for i, word in enumerate(dict.fromkeys(lines))}
    ids = {pair[1]: int(pair[2]) for pair in pairs if pair}
    if not all(pairs):
        without_id = lines[pairs.index(None)]
        raise ValueError(
            f'{path} has ids for some words and none for "{without_id}"; give an id to all words or to none'
        )
    if max(ids.values()) >= 1 << 63:
        raise ValueError(f"{path} has an id of 2^63 or more")
    return ids


def self_contained(config: EasyRecConfig) -> EasyRecConfig:
    """Return the config with the words of its vocabulary files in `vocab_dict`."""
    complete = EasyRecConfig()
    complete.CopyFrom(config)
    for entry in complete.feature_configs:
        message = getattr(entry, entry.WhichOneof("feature") or "id_feature")
        if getattr(message, "vocab_file", "") and hasattr(message, "vocab_dict"):
            message.vocab_dict.update(read_vocabulary(vocabulary_path(message)))
            message.ClearField("vocab_file")
            message.ClearField("asset_dir")
    return complete
