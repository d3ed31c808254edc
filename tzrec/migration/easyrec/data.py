"""data_config and the paths of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tzrec.migration.easyrec.source import Rows, Source, only
from tzrec.protos.data_pb2 import DataConfig, DatasetType, FgMode, Field, FieldType
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_DATASETS: Mapping[str, DatasetType] = {
    "CSV": DatasetType.CsvDataset,
    "BatchCSV": DatasetType.CsvDataset,
    "Odps": DatasetType.OdpsDataset,
    "Parquet": DatasetType.ParquetDataset,
    "Kafka": DatasetType.KafkaDataset,
}
"""Beginning of an input_type there -> dataset_type."""

_ROWS: Rows = {
    "batch_size": ("batch_size", 32),
    "eval_batch_size": "eval_batch_size",
    "label_fields": "label_fields",
    "drop_remainder": "drop_remainder",
    "sample_weight": "sample_weight_fields",
    "shuffle": ("shuffle", True),
    "shuffle_buffer_size": "shuffle_buffer_size",
    "num_parallel_calls": "num_workers",
    "separator": "delimiter",
    "with_header": "with_header",
}

_SAMPLER_ROWS: Rows = {
    **{name: name for name in ("input_path", "user_input_path", "item_input_path", "pos_edge_input_path")},
    **{name: name for name in ("hard_neg_edge_input_path", "num_sample", "num_hard_sample", "attr_fields")},
    **{name: name for name in ("item_id_field", "user_id_field", "attr_delimiter", "num_eval_sample")},
    "field_delimiter": ("field_delimiter", "\x01"),
}

_LIST_TYPES: Mapping[str, str] = {name: f"ARRAY_{name}" for name in ("INT32", "INT64", "STRING", "FLOAT", "DOUBLE")}


def convert_paths(root: Source, target: EasyRecConfig) -> None:
    """Convert the paths of the data and of the model."""
    for stage in ("train", "eval"):
        path = root.text(f"{stage}_input_path") or root.text(f"parquet_{stage}_input")
        kafka = root.message(f"kafka_{stage}_input")
        setattr(target, f"{stage}_input_path", _kafka_path(kafka) if kafka is not None and not path else path)
    target.model_dir = root.text("model_dir", "experiments/converted")


def _kafka_path(source: Source) -> str:
    """Write the settings of a topic as one path."""
    parameters = [f"group.id={source.text('group')}"] if source.has("group") else []
    parameters += source.texts("config_global") + source.texts("config_topic")
    if source.has("offset_time"):
        parameters.append(f"start.timestamp.ms={source.text('offset_time')}")
    return f"kafka://{source.text('server')}/{source.text('topic')}?{'&'.join(parameters)}"


def convert_data(source: Source, target: DataConfig, is_parquet: bool) -> None:
    """Convert data_config, except num_epochs, which belongs to the run, and default values, to the features.

    Args:
        source: data_config.
        target: receives it.
        is_parquet: the paths are those of Parquet files.
    """
    source.copy(
        target, {name: row for name, row in _ROWS.items() if not (name == "sample_weight" and not source.text(name))}
    )
    target.fg_mode = FgMode.FG_DAG
    kind = source.text("input_type", "ParquetInput" if is_parquet else "CSVInput")
    names = [name for name in _DATASETS if kind.startswith(name)]
    target.dataset_type = DatasetType.ParquetDataset if is_parquet else DatasetType.CsvDataset
    if names:
        target.dataset_type = _DATASETS[names[0]]
    else:
        source.note("input_type", f"{kind} is not known here; write the data as CSV or Parquet")
    source.flag("auto_expand_input_fields")  # ranges in names are expanded in any case
    for field in source.messages("input_fields"):
        for name in expand_names([field.text("input_name")]):
            _convert_field(field, target.input_fields.add(input_name=name))
    for name in source.names():
        _convert_sampler(source, name, target)


def _convert_field(source: Source, target: Field) -> None:
    kind = source.text("input_type", "STRING")
    if source.integer("input_dim", 1) > 1:
        kind = _LIST_TYPES.get(kind, kind)
    if kind not in FieldType.DESCRIPTOR.values_by_name:
        source.note("input_type", f"there is no type {kind}; STRING is used")
        kind = "STRING"
    target.input_type = FieldType.Value(kind)  # type: ignore[assignment]


def _convert_sampler(source: Source, name: str, target: DataConfig) -> None:
    """Convert a sampler, which has the same name here, but for the one in memory."""
    member = name.removesuffix("_in_memory")
    if member not in {field.name for field in DataConfig.DESCRIPTOR.oneofs_by_name["sampler"].fields}:
        return
    sampler, settings = only(target, member), source.message(name)
    assert settings is not None
    settings.copy(sampler, {key: row for key, row in _SAMPLER_ROWS.items() if key in sampler.DESCRIPTOR.fields_by_name})
    if not sampler.num_eval_sample:
        sampler.ClearField("num_eval_sample")


def default_values(data: Source | None) -> dict[str, str]:
    """Read the default value of each column that has one."""
    fields = data.messages("input_fields") if data is not None else []
    return {field.text("input_name"): field.text("default_val") for field in fields if field.has("default_val")}


def expand_names(names: Sequence[str]) -> Iterator[str]:
    """Expand ranges in names: `field[1-3]` is field1, field2, field3."""
    for name in names:
        head, bracket, tail = name.partition("[")
        first, dash, last = tail.removesuffix("]").partition("-")
        if bracket and dash and first.isdecimal() and last.isdecimal():
            yield from (f"{head}{number}" for number in range(int(first), int(last) + 1))
        else:
            yield name
