"""data_config: shuffling and columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tzrec.config.checker import Checker, check_unique, repeated
from tzrec.config.completion import ENCODED
from tzrec.config.declared_columns import declared_columns
from tzrec.config.label_rules import label_rules
from tzrec.config.names import did_you_mean
from tzrec.config.rules.feature_entry import feature_entries
from tzrec.config.samplers import sampler_config
from tzrec.protos.data_pb2 import DatasetType, EvalSplit, FgMode, FieldType

_PATH = "data_config"


def check_data(checker: Checker) -> None:
    """Check data_config."""
    data = checker.config.data_config
    if data.shuffle and data.shuffle_buffer_size == 0:
        problem = "0 batches to shuffle in; set it above 0 or shuffle to false"
        checker.error(f"{_PATH}.shuffle_buffer_size", problem)
    labels = repeated(f"{_PATH}.label_fields", data.label_fields)
    weights = repeated(f"{_PATH}.sample_weight_fields", data.sample_weight_fields)
    check_unique(checker, "label or weight", [*labels, *weights])
    if data.HasField("batch_cost_size") and not data.sample_cost_field:
        checker.error(f"{_PATH}.sample_cost_field", "empty; name the column of costs that batch_cost_size limits")
    if data.HasField("eval_split"):
        _check_eval_split(checker, f"{_PATH}.eval_split", data.eval_split)
    _check_label_values(checker)
    _check_declared(checker)
    if data.dataset_type == DatasetType.CsvDataset and data.HasField("dataset_type"):
        _check_csv(checker)


def _check_eval_split(checker: Checker, path: str, split: EvalSplit) -> None:
    if split.HasField("fraction") == split.HasField("column") and not checker.has_parse_errors(path):
        received = "fraction and column are both set" if split.column else "neither fraction nor column is set"
        checker.error(path, f"{received}; choose one")
    elif split.HasField("column") != split.HasField("from") and not checker.has_parse_errors(path):
        checker.error(path, "column and from belong together: rows whose column is at least from are held out")


def _check_label_values(checker: Checker) -> None:
    """Check that labels with values have two at least, each of them once, and no more than their losses take."""
    data, rules = checker.config.data_config, label_rules(checker.config)
    entries = list(repeated(f"{_PATH}.label_values", data.label_values))
    check_unique(checker, "label", ((f"{path}.label", entry.label) for path, entry in entries))
    for path, entry in entries:
        values = [value.strip().lower() if entry.merge_variants else value for value in entry.values]
        named = list(repeated(f"{path}.values", values))
        check_unique(checker, "value", named)
        if len(values) < 2 and not checker.has_parse_errors(path):
            checker.error(f"{path}.values", f'"{entry.label}" has {len(values)} values; list all of them, two at least')
        for value_path, value in named:
            if not value or value in data.null_values:
                checker.error(value_path, f'"{value}" means that the label is missing; remove it here')
        for rule in rules.get(entry.label, ()):
            if len(values) - 1 > rule.most:
                classes = f"use softmax_cross_entropy and num_class: {len(values)}, or list 2 values"
                advice = f"set num_class: {len(values)}" if rule.is_whole else classes
                received = f'"{entry.label}" has {len(values)} values, which are 0 to {len(values) - 1}'
                checker.error(f"{path}.values", f"{received}, and {rule.reader} takes {rule.values}; {advice}")
                break


def _check_declared(checker: Checker) -> None:
    """Check input_fields_str, `name:TYPE;name:TYPE` with optional types, and the names of input_fields."""
    data = checker.config.data_config
    path, types = f"{_PATH}.input_fields_str", FieldType.DESCRIPTOR.values_by_name
    for part in data.input_fields_str.split(";"):
        name, colon, type_name = (text.strip() for text in part.partition(":"))
        if colon and type_name not in types:
            checker.error(path, f'"{part.strip()}": unknown type "{type_name}"{did_you_mean(type_name, types)}')
        elif part.strip() and not name:
            checker.error(path, f'"{part.strip()}" is not name:TYPE')
    fields = repeated(f"{_PATH}.input_fields", data.input_fields)
    check_unique(checker, "column", ((f"{path}.input_name", field.input_name) for path, field in fields))


def _check_csv(checker: Checker) -> None:
    data = checker.config.data_config
    _check_syntax(checker)
    if data.with_header:
        return
    columns = declared_columns(data)
    if not columns and not checker.has_parse_errors(_PATH):
        checker.error(_PATH, "CSV without a header needs input_fields, all columns in file order; or set with_header")
    elif columns:
        for path, name in used_columns(checker):
            if name not in columns:
                checker.error(
                    path, f'"{name}" is not a column of data_config.input_fields{did_you_mean(name, columns)}'
                )


def _check_syntax(checker: Checker) -> None:
    """Check delimiter and quote: the CSV parser compares single bytes."""
    data = checker.config.data_config
    for name, text in (("delimiter", data.delimiter), ("quote", data.quote)):
        problem = ""
        if len(text) > 1:
            problem = f"{text!r} is not one character; replace it in the data, e.g. sed 's/{text}/|/g' FILE > NEW_FILE"
        elif not text.isascii():
            problem = f"{text!r} is not an ASCII character; use one, such as a comma, a tab or \\x01"
        elif text in ("\n", "\r", "\0"):
            problem = f"{text!r} is no character of a row"
        elif not text and name == "delimiter":
            problem = "is empty; give one ASCII character"
        if problem:
            checker.error(f"{_PATH}.{name}", problem)
    if data.delimiter and data.delimiter == data.quote:
        problem = f'{data.delimiter!r} is also data_config.quote; set quote to "" if the data has no quotes'
        checker.error(f"{_PATH}.delimiter", problem)


def used_columns(checker: Checker) -> Iterator[tuple[str, str]]:
    """Iterate over the columns that a config reads: path of the field that names the column, and its name."""
    data = checker.config.data_config
    yield from repeated(f"{_PATH}.label_fields", data.label_fields)
    yield from repeated(f"{_PATH}.sample_weight_fields", data.sample_weight_fields)
    if data.sample_cost_field:
        yield f"{_PATH}.sample_cost_field", data.sample_cost_field
    if data.eval_split.column:
        yield f"{_PATH}.eval_split.column", data.eval_split.column
    sampler: Any = sampler_config(data)
    for field in ("item_id_field", "user_id_field"):
        if getattr(sampler, field, ""):
            yield f"{_PATH}.{data.WhichOneof('sampler')}.{field}", getattr(sampler, field)
    for entry in feature_entries(checker):
        if data.fg_mode in ENCODED:
            if not entry.message.stub_type:
                yield f"{entry.path}.feature_name", entry.name
            continue
        for path, text in entry.inputs:
            side, _, name = text.partition(":")
            if name and (data.fg_mode == FgMode.FG_NORMAL or side not in ("feature", "const")):
                yield path, name
