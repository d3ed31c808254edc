"""Paths of a config that a run reads: what is not there."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator

from tzrec.config.checker import Checker
from tzrec.config.comma_list import split_commas
from tzrec.config.load import ConfigSource
from tzrec.config.options import field_rule
from tzrec.errors import ConfigError, Problem
from tzrec.protos.data_pb2 import DatasetType
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.storage.url import without_file_scheme

DATA_PATHS = ("train_input_path", "eval_input_path")
_FIRST_WEIGHTS = "train_config.fine_tune_checkpoint"


def ensure_inputs(config: EasyRecConfig) -> None:
    """Check that the data and the tables of the sampler of a training run are there.

    Paths of stores and catalogs are not looked at; reading them reports what is missing. First weights matter only to a
    run that finds no checkpoint of its own.

    Raises:
        ConfigError: names the field of each path that is not there.
    """
    missing = missing_paths(Checker(ConfigSource(config)))
    problems = [Problem(field, message) for field, message in missing if field != _FIRST_WEIGHTS]
    if problems:
        raise ConfigError(problems)


def missing_paths(checker: Checker) -> Iterator[tuple[str, str]]:
    """Yield the fields whose local path does not exist, each with a message."""
    for name in DATA_PATHS:
        local, _ = data_parts(checker, name)
        missing = [part for part in local if not _has_match(_glob_of(part, checker.config.data_config.dataset_type))]
        if missing:
            yield name, f'no file matches "{missing[0]}"'
    data = checker.config.data_config
    sampler = data.WhichOneof("sampler")
    for field, path in getattr(data, sampler).ListFields() if sampler else ():
        if field.name.endswith("input_path") and not field_rule(field).descriptive:
            local = [part for part in map(without_file_scheme, split_commas(path)) if "://" not in part]
            missing = [part for part in local if not _has_match(part)]
            if missing:
                yield f"data_config.{sampler}.{field.name}", f'no file matches "{missing[0]}"'
    checkpoint = without_file_scheme(checker.config.train_config.fine_tune_checkpoint)
    if checkpoint and "://" not in checkpoint and not _has_match(glob.escape(checkpoint)):
        yield _FIRST_WEIGHTS, f'there is no directory "{checkpoint}"'


def data_parts(checker: Checker, name: str) -> tuple[list[str], list[str]]:
    """Split a path of data into its local parts, and the parts of stores and catalogs."""
    parts = [without_file_scheme(part) for part in split_commas(getattr(checker.config, name))]
    is_catalog = checker.config.data_config.dataset_type == DatasetType.IcebergDataset
    remote = [part for part in parts if "://" in part or (is_catalog and "/" not in part)]
    return [part for part in parts if part not in remote], remote


def _has_match(pattern: str) -> bool:
    return any(glob.iglob(pattern, recursive=True))


def _glob_of(part: str, dataset: int) -> str:
    """Return a glob that matches where a part of an input path may have data: without versions and ranges."""
    if dataset in (DatasetType.DeltaDataset, DatasetType.IcebergDataset):
        return re.sub(r"@[^@/]*$", "", part)
    return re.sub(r"=[^/]*\.\.[^/]*", "=*", part)
