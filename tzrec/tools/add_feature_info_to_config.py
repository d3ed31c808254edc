"""Puts what a table says about features into a config: sizes of tables, boundaries, widths, whole features.

python -m tzrec.tools.add_feature_info_to_config --template_model_config_path template.config \\
    --config_table_path features.csv --model_config_path my.config
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf import json_format
from google.protobuf.message import Message
from pyarrow import csv as pacsv

from tzrec import cli, registry
from tzrec.config.load import dump_config, load_source
from tzrec.config.names import did_you_mean
from tzrec.config.schema import fields_of, missing_required
from tzrec.data.paths import InputFile, expand
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.protos.feature_pb2 import FeatureConfig, SequenceFeature
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_BUCKETIZERS = (
    *("hash_bucket_size", "num_buckets", "vocab_list", "vocab_dict", "vocab_file", "boundaries", "zch", "dynamicemb"),
)
_ALIASES = {"boundary": "boundaries"}
_ODPS = "MaxCompute is not reached from here; write the table as CSV or Parquet"


@dataclass(frozen=True)
class Row:
    """What the table says about one feature.

    Attributes:
        name: of the feature; one in a group is called `<sequence_name>__<feature_name>`.
        info: fields of its message and their values, or `{"id_feature": {...}}` for a whole feature.
        drop: whether it is to go.
        location: in the table, for the errors.
    """

    name: str
    info: dict[str, Any]
    drop: bool
    location: str


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 where the table cannot be used, 2 where the template cannot."""
    flags = cli.parser("tools.add_feature_info_to_config", "Put what a table says about features into a config.")
    flags.add_argument("--template_model_config_path", required=True, metavar="FILE", help="the config to start from")
    flags.add_argument("--model_config_path", required=True, metavar="FILE", help="where the new config goes")
    text = "CSV or Parquet with the columns feature_name, feature_info (JSON) and, if wanted, drop (true or false)"
    flags.add_argument("--config_table_path", required=True, metavar="GLOB", help=text)
    text = "default: by the ending of the file"
    flags.add_argument("--reader_type", choices=("CsvReader", "ParquetReader"), help=text)
    flags.refuse(_ODPS, "--odps_data_quota_name")
    args = flags.parse_args(argv)
    config = _template(args.template_model_config_path)
    apply(config, list(read_rows(args.config_table_path, args.reader_type)))
    problems = [Problem(path, "is required, and neither the template nor the table says it") for path in _open(config)]
    if problems:
        raise ConfigError(problems)
    Path(args.model_config_path).write_text(dump_config(config), encoding="utf-8")
    print(args.model_config_path)
    return 0


def _template(path: str) -> EasyRecConfig:
    """A config that may still lack what the table is to say."""
    source = load_source(path)
    missing = set(_open(source.config))
    problems = [problem for problem in source.problems if problem.field not in missing]
    if problems:
        raise ConfigError(problems)
    return source.config


def _open(config: EasyRecConfig) -> list[str]:
    return list(missing_required(config))


def read_rows(path: str, reader: str | None = None) -> Iterator[Row]:
    """The rows of a table.

    Args:
        path: comma list of globs.
        reader: "CsvReader" or "ParquetReader"; None to see from the ending of each file.

    Raises:
        DataError: a file cannot be read, lacks a column, or holds something that is no JSON object.
    """
    for file in expand(path):
        is_csv = reader == "CsvReader" if reader else file.name.endswith((".csv", ".csv.gz"))
        table = _table(file, is_csv)
        for column in ("feature_name", "feature_info"):
            if column not in table.column_names:
                known = did_you_mean(column, table.column_names)
                raise DataError(f'{file.name}: no column "{column}"{known}')
        for number, row in enumerate(table.to_pylist(), start=1):
            yield _row(row, f"{file.name}, row {number}")


def _table(file: InputFile, is_csv: bool) -> pa.Table:
    try:
        with file.filesystem.open_input_file(file.path) as stream:
            return pacsv.read_csv(stream, parse_options=_LINES) if is_csv else pq.read_table(stream)
    except pa.ArrowException as error:
        raise DataError(f"{file.name}: cannot be read as {'CSV' if is_csv else 'Parquet'}: {error}") from error


_LINES = pacsv.ParseOptions(newlines_in_values=True)


def _row(row: dict[str, Any], place: str) -> Row:
    text = row["feature_info"]
    try:
        info = json.loads(text) if isinstance(text, str) and text else text or {}
    except ValueError as error:
        raise DataError(f"{place}: feature_info is no JSON: {error}") from None
    if not row["feature_name"] or not isinstance(info, dict):
        raise DataError(f"{place}: needs a feature_name, and a feature_info that is a JSON object; received {row}")
    return Row(row["feature_name"], info, str(row.get("drop")).lower() in ("true", "1"), place)


def apply(config: EasyRecConfig, rows: Sequence[Row]) -> None:
    """Change a config as the rows say, one after the other.

    Raises:
        DataError: a row names a feature or a field that does not exist, or a value that does not fit.
    """
    for row in rows:
        if row.drop:
            _drop(config, row.name)
            continue
        (member, *more) = row.info or [""]
        if not more and member in FeatureConfig.DESCRIPTOR.fields_by_name:
            _put(config, row)
        else:
            _update(config, row)


@dataclass(frozen=True)
class _Found:
    """A feature, or a sequence_feature, of a config.

    Attributes:
        name: in the table.
        message: of the feature.
        home: the list that its entry is in.
        index: its place there.
    """

    name: str
    message: Any
    home: Any
    index: int


def _features(config: EasyRecConfig) -> Iterator[_Found]:
    for index, each in enumerate(config.feature_configs):
        message: Any = _chosen(each)
        if not isinstance(message, SequenceFeature):
            yield _Found(message.feature_name, message, config.feature_configs, index)
            continue
        yield _Found(message.sequence_name, message, config.feature_configs, index)
        for place, part in enumerate(message.features):
            step = _chosen(part)
            yield _Found(f"{message.sequence_name}__{step.feature_name}", step, message.features, place)


def _chosen(entry: Message) -> Any:
    member = registry.oneof_member(entry, "feature")
    if member is None:
        raise ConfigError([Problem("feature_configs", "an entry of the template has no feature in it")])
    return member[1]


def _find(config: EasyRecConfig, name: str) -> _Found | None:
    return next((each for each in _features(config) if each.name == name), None)


def _update(config: EasyRecConfig, row: Row) -> None:
    """Set fields of a feature that is there; a new bucketizer takes the place of the old one."""
    found = _find(config, row.name)
    if found is None:
        known = did_you_mean(row.name, [each.name for each in _features(config)])
        raise DataError(f'{row.location}: the template has no feature "{row.name}"{known}')
    values = {_ALIASES.get(key, key): value for key, value in row.info.items()}
    fields = fields_of(found.message)
    for key in values:
        if key not in fields:
            kind = found.message.DESCRIPTOR.name
            raise DataError(f'{row.location}: {kind} has no field "{key}"{did_you_mean(key, fields)}')
    replaced = _BUCKETIZERS if set(values) & set(_BUCKETIZERS) else ()
    for key in {*values, *replaced} & set(fields):
        found.message.ClearField(key)
    _parse(values, found.message, row)


def _put(config: EasyRecConfig, row: Row) -> None:
    """A whole feature, in the place of the one with its name or behind all others."""
    found = _find(config, row.name)
    entry = _parse(row.info, type(found.home[found.index])() if found else FeatureConfig(), row)
    message = _chosen(entry)
    name = message.sequence_name if isinstance(message, SequenceFeature) else message.feature_name
    if name != row.name and not (found and row.name.endswith(f"__{name}")):
        raise DataError(f'{row.location}: feature_name is "{row.name}", but feature_info is about "{name}"')
    if found:
        found.home[found.index].CopyFrom(entry)
    else:
        config.feature_configs.append(entry)


def _parse(values: dict[str, Any], message: Any, row: Row) -> Any:
    try:
        return json_format.ParseDict(values, message)
    except json_format.ParseError as error:
        raise DataError(f"{row.location}: {error}") from None


def _drop(config: EasyRecConfig, name: str) -> None:
    """Remove a feature, a sequence_feature that is empty without it, and their names from the feature groups."""
    gone = {each.name for each in _features(config) if each.name == name or each.name.startswith(f"{name}__")}
    found = _find(config, name)
    if found is None:
        return
    del found.home[found.index]
    kept = [each for each in config.feature_configs if not _is_empty(each)]
    del config.feature_configs[:]
    config.feature_configs.extend(kept)
    for group in config.model_config.feature_groups:
        for names in (group.feature_names, *(each.feature_names for each in group.sequence_groups)):
            names[:] = [each for each in names if each not in gone]


def _is_empty(entry: FeatureConfig) -> bool:
    return entry.HasField("sequence_feature") and not entry.sequence_feature.features
