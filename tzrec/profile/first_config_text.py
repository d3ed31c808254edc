"""Output of `tzrec init`: the data that was read, a line per column, the decisions, and the next command."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tzrec.formatting import format_columns
from tzrec.profile import summary
from tzrec.profile.suggest import SuggestResult
from tzrec.protos.data_pb2 import DatasetType
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_HEAD = ("column", "taken as", "because", "override")
_MAX_NAME = 40


def as_text(result: SuggestResult, seconds: float) -> str:
    """Format the outcome of `init`.

    Args:
        result: of `init`.
        seconds: that reading took.
    """
    path, columns = result.config.train_input_path, len(result.readings)
    read = f"{path}   {result.rows:,} rows, {columns} column{'s' if columns != 1 else ''}{_text_format(result.config)}"
    lines = [f"read    {read}   {seconds:.1f} s", "", _table(result), ""]
    return "\n".join([*lines, *_decisions(result), *(f"note: {note}" for note in result.notes)])


def written_line(result: SuggestResult, path: str) -> str:
    """Format the end: the file with the config, and the command that trains it."""
    config = result.config
    model = config.model_config.WhichOneof("model")
    parts = [f"{len(config.feature_configs)} features", *([model] if model else [])]
    parts.append("check: no problems" if not result.problems else f"check: {len(result.problems)} problems, see above")
    return f"wrote   {path}   {', '.join(parts)}\nnext    tzrec train --pipeline_config {path}"


def _text_format(config: EasyRecConfig) -> str:
    """Describe how text files are written, "" for others."""
    data = config.data_config
    if data.dataset_type != DatasetType.CsvDataset:
        return ""
    parts = [f"{json.dumps(data.delimiter)} between cells"]
    if data.null_values:
        parts.append(f'{", ".join(map(json.dumps, data.null_values))} and "" mean missing')
    return f", {', '.join(parts)}"


def _table(result: SuggestResult) -> str:
    rows = [(reading.name, reading.taken_as, reading.evidence, reading.override) for reading in result.readings]
    lines = [_HEAD, *((_short(name), *cells) for name, *cells in rows)]
    return format_columns(lines, right=())


def _decisions(result: SuggestResult) -> Iterator[str]:
    """Yield a line for each field that no column decides."""
    for item in result.suggestions:
        is_replaced = item.path == "feature_configs" and item.old is not None
        if is_replaced or not item.path.startswith("feature_configs"):
            yield summary.line(item)


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 3]}..."
