"""Copy field values of features from a table into a config: table sizes, boundaries, dimensions, complete features.

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
from tzrec.config.load import dump_config, load_incomplete
from tzrec.config.names import did_you_mean
from tzrec.config.rules.bucketizer import BUCKETIZERS
from tzrec.config.schema import fields_of, missing_required
from tzrec.data.paths import InputFile, expand
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.protos.feature_pb2 import FeatureConfig, SequenceFeature
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_BUCKETIZERS = (*BUCKETIZERS, "boundaries")
_ALIASES = {"boundary": "boundaries"}
_ODPS = "MaxCompute is not supported; write the table as CSV or Parquet"


@dataclass(frozen=True)
class FeatureRow:
    """Row of the table.

    Attributes:
        name: of the feature; `<sequence_name>__<feature_name>` in a sequence group.
        info: fields of the feature and their values, or `{"id_feature": {...}}` for a complete feature.
        should_drop: true to remove the feature from the config.
        location: in the table, for errors.
    """

    name: str
    info: dict[str, Any]
    should_drop: bool
    location: str


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0; 1 for an invalid table, 2 for an invalid template."""
    flags = cli.parser("tools.add_feature_info_to_config", "Copy field values of features from a table into a config.")
    flags.add_argument("--template_model_config_path", required=True, metavar="FILE", help="config to change")
    flags.add_argument("--model_config_path", required=True, metavar="FILE", help="path of the new config")
    text = "CSV or Parquet with the columns feature_name, feature_info (JSON) and optionally drop (true or false)"
    flags.add_argument("--config_table_path", required=True, metavar="GLOB", help=text)
    text = "default: by the extension of the file"
    flags.add_argument("--reader_type", choices=("CsvReader", "ParquetReader"), help=text)
    flags.reject(_ODPS, "--odps_data_quota_name")
    args = flags.parse_args(argv)
    config = load_incomplete(args.template_model_config_path)
    apply(config, list(read_rows(args.config_table_path, args.reader_type)))
    problems = [Problem(path, "is required, and missing in template and table") for path in missing_required(config)]
    if problems:
        raise ConfigError(problems)
    Path(args.model_config_path).write_text(dump_config(config), encoding="utf-8")
    print(args.model_config_path)
    return 0


def read_rows(path: str, reader: str | None = None) -> Iterator[FeatureRow]:
    """Read the rows of a table.

    Args:
        path: comma list of globs.
        reader: "CsvReader" or "ParquetReader"; None to choose by the extension of each file.

    Raises:
        DataError: a file cannot be read, lacks a column, or holds invalid JSON.
    """
    for file in expand(path):
        is_csv = reader == "CsvReader" if reader else file.name.endswith((".csv", ".csv.gz"))
        table = _table(file, is_csv)
        for column in ("feature_name", "feature_info"):
            if column not in table.column_names:
                near = did_you_mean(column, table.column_names)
                raise DataError(f'{file.name}: no column "{column}"{near}')
        for number, row in enumerate(table.to_pylist(), start=1):
            yield _row(row, f"{file.name}, row {number}")


def _table(file: InputFile, is_csv: bool) -> pa.Table:
    try:
        with file.filesystem.open_input_file(file.path) as stream:
            return pacsv.read_csv(stream, parse_options=_CSV_OPTIONS) if is_csv else pq.read_table(stream)
    except pa.ArrowException as error:
        raise DataError(f"{file.name}: cannot be read as {'CSV' if is_csv else 'Parquet'}: {error}") from error


_CSV_OPTIONS = pacsv.ParseOptions(newlines_in_values=True)


def _row(row: dict[str, Any], location: str) -> FeatureRow:
    text = row["feature_info"]
    try:
        info = json.loads(text) if isinstance(text, str) and text else text or {}
    except ValueError as error:
        raise DataError(f"{location}: feature_info is not valid JSON: {error}") from None
    if not row["feature_name"] or not isinstance(info, dict):
        raise DataError(f"{location}: feature_name is required, and feature_info must be a JSON object; received {row}")
    return FeatureRow(row["feature_name"], info, str(row.get("drop")).lower() in ("true", "1"), location)


def apply(config: EasyRecConfig, rows: Sequence[FeatureRow]) -> None:
    """Apply the rows to a config, in their order.

    Raises:
        DataError: a row names a feature or field that does not exist, or an invalid value.
    """
    for row in rows:
        if row.should_drop:
            _drop(config, row.name)
            continue
        (member, *more) = row.info or [""]
        if not more and member in FeatureConfig.DESCRIPTOR.fields_by_name:
            _set_feature(config, row)
        else:
            _update(config, row)


@dataclass(frozen=True)
class _FeatureSlot:
    """Position of a feature or sequence_feature in a config.

    Attributes:
        name: in the table.
        message: of the feature.
        entries: the list that contains it.
        index: in the list.
    """

    name: str
    message: Any
    entries: Any
    index: int


def _features(config: EasyRecConfig) -> Iterator[_FeatureSlot]:
    for index, entry in enumerate(config.feature_configs):
        message: Any = _feature_message(entry)
        if not isinstance(message, SequenceFeature):
            yield _FeatureSlot(message.feature_name, message, config.feature_configs, index)
            continue
        yield _FeatureSlot(message.sequence_name, message, config.feature_configs, index)
        for member_index, member in enumerate(message.features):
            feature = _feature_message(member)
            name = f"{message.sequence_name}__{feature.feature_name}"
            yield _FeatureSlot(name, feature, message.features, member_index)


def _feature_message(entry: Message) -> Any:
    member = registry.oneof_member(entry, "feature")
    if member is None:
        raise ConfigError([Problem("feature_configs", "an entry of the template has no feature")])
    return member[1]


def _find(config: EasyRecConfig, name: str) -> _FeatureSlot | None:
    return next((slot for slot in _features(config) if slot.name == name), None)


def _update(config: EasyRecConfig, row: FeatureRow) -> None:
    """Set fields of an existing feature; a new bucketizer replaces the old one."""
    slot = _find(config, row.name)
    if slot is None:
        near = did_you_mean(row.name, [feature.name for feature in _features(config)])
        raise DataError(f'{row.location}: the template has no feature "{row.name}"{near}')
    values = {_ALIASES.get(key, key): value for key, value in row.info.items()}
    fields = fields_of(slot.message)
    for key in values:
        if key not in fields:
            kind = slot.message.DESCRIPTOR.name
            raise DataError(f'{row.location}: {kind} has no field "{key}"{did_you_mean(key, fields)}')
    replaced = _BUCKETIZERS if set(values) & set(_BUCKETIZERS) else ()
    for key in {*values, *replaced} & set(fields):
        slot.message.ClearField(key)
    _parse(values, slot.message, row)


def _set_feature(config: EasyRecConfig, row: FeatureRow) -> None:
    """Replace the feature of the same name by a complete one, or append it."""
    slot = _find(config, row.name)
    entry = _parse(row.info, type(slot.entries[slot.index])() if slot else FeatureConfig(), row)
    message = _feature_message(entry)
    name = message.sequence_name if isinstance(message, SequenceFeature) else message.feature_name
    if name != row.name and not (slot and row.name.endswith(f"__{name}")):
        raise DataError(f'{row.location}: feature_name is "{row.name}", but feature_info describes "{name}"')
    if slot:
        slot.entries[slot.index].CopyFrom(entry)
    else:
        config.feature_configs.append(entry)


def _parse(values: dict[str, Any], message: Any, row: FeatureRow) -> Any:
    try:
        return json_format.ParseDict(values, message)
    except json_format.ParseError as error:
        raise DataError(f"{row.location}: {error}") from None


def _drop(config: EasyRecConfig, name: str) -> None:
    """Remove a feature, a sequence_feature that becomes empty, and their names from the feature groups."""
    dropped = {slot.name for slot in _features(config) if slot.name == name or slot.name.startswith(f"{name}__")}
    slot = _find(config, name)
    if slot is None:
        return
    del slot.entries[slot.index]
    entries = [entry for entry in config.feature_configs if not _is_empty(entry)]
    del config.feature_configs[:]
    config.feature_configs.extend(entries)
    for group in config.model_config.feature_groups:
        for names in (group.feature_names, *(sequence.feature_names for sequence in group.sequence_groups)):
            names[:] = [feature for feature in names if feature not in dropped]


def _is_empty(entry: FeatureConfig) -> bool:
    return entry.HasField("sequence_feature") and not entry.sequence_feature.features


if __name__ == "__main__":
    cli.leave(main())
