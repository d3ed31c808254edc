"""Files that features read, copied into the package: vocabularies of tokenizers and stop characters."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tzrec.config.names import name_problem
from tzrec.config.vocabulary import vocabulary_path
from tzrec.errors import PackageError, shorten_middle
from tzrec.protos import feature_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def pack_assets(config: EasyRecConfig, directory: Path) -> EasyRecConfig:
    """Copy the files of a config into a package; returns the config with their names there, without directory."""
    result = _copy(config)
    for message in _tokenized(result):
        message.vocab_file = copy_file(vocabulary_path(message), message.feature_name, directory)
        message.ClearField("asset_dir")
        normalizer = message.text_normalizer
        if normalizer.stop_char_file:
            path = Path(normalizer.stop_char_file)
            normalizer.stop_char_file = copy_file(path, f"{message.feature_name}.stop", directory)
    return result


def locate_assets(config: EasyRecConfig, directory: Path) -> EasyRecConfig:
    """The config of a package with the full paths of these files in the package.

    Raises:
        PackageError: the config names a file outside of it.
    """
    result = _copy(config)
    for message in _tokenized(result):
        normalizer = message.text_normalizer
        for name in (message.vocab_file, normalizer.stop_char_file):
            if name_problem(name):
                raise PackageError(f"{directory} names a file outside the package: {shorten_middle(repr(name))}")
        if (directory / message.vocab_file).is_file():
            message.asset_dir = str(directory)
        if normalizer.stop_char_file and (directory / normalizer.stop_char_file).is_file():
            normalizer.stop_char_file = str(directory / normalizer.stop_char_file)
    return result


def _copy(config: EasyRecConfig) -> EasyRecConfig:
    result = EasyRecConfig()
    result.CopyFrom(config)
    return result


def _tokenized(config: EasyRecConfig) -> Iterator[feature_pb2.TokenizeFeature]:
    features = config.feature_configs
    return (feature.tokenize_feature for feature in features if feature.HasField("tokenize_feature"))


def copy_file(path: Path, stem: str, directory: Path) -> str:
    """Copy a file into a directory as `<stem>.<name of the file>`; returns its name there.

    Raises:
        PackageError: the stem is not a part of a file name.
    """
    if name_problem(stem):
        raise PackageError(f"cannot copy {path} into {directory} under the name of its feature: {name_problem(stem)}")
    name = f"{stem}.{path.name}"
    shutil.copyfile(path, directory / name)
    return name
