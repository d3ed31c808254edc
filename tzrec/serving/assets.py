"""Files that features read, carried in the package: tokenizers and the characters their texts lose."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tzrec.protos import feature_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def packed(config: EasyRecConfig, directory: Path) -> EasyRecConfig:
    """The same config reading copies of these files in a package, which it names without their folder."""
    whole = _copy(config)
    for message in _tokenized(whole):
        message.vocab_file = _carry(Path(message.asset_dir) / message.vocab_file, message.feature_name, directory)
        message.ClearField("asset_dir")
        stops = message.text_normalizer.stop_char_file
        if stops:
            carried = _carry(Path(stops), f"{message.feature_name}.stop", directory)
            message.text_normalizer.stop_char_file = carried
    return whole


def unpacked(config: EasyRecConfig, directory: Path) -> EasyRecConfig:
    """The config of a package with these files at the place where the package lies now."""
    whole = _copy(config)
    for message in _tokenized(whole):
        if (directory / message.vocab_file).is_file():
            message.asset_dir = str(directory)
        stops = message.text_normalizer.stop_char_file
        if stops and (directory / stops).is_file():
            message.text_normalizer.stop_char_file = str(directory / stops)
    return whole


def _copy(config: EasyRecConfig) -> EasyRecConfig:
    whole = EasyRecConfig()
    whole.CopyFrom(config)
    return whole


def _tokenized(config: EasyRecConfig) -> Iterator[feature_pb2.TokenizeFeature]:
    return (each.tokenize_feature for each in config.feature_configs if each.HasField("tokenize_feature"))


def _carry(path: Path, stem: str, directory: Path) -> str:
    """Copy a file into the package; its name there."""
    name = f"{stem}.{path.name}"
    shutil.copyfile(path, directory / name)
    return name
