"""EncodeJob: encode one data set into a directory of Parquet files, and the config that trains on the result."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from tzrec.checkpoint.lock import Lock
from tzrec.data.bad_rows import SAMPLE_ROWS
from tzrec.data.reader import Reader, open_reader
from tzrec.data.row_encoder import RowEncoder
from tzrec.data.text_schema import TextSchema
from tzrec.encoding.manifest import Provenance, is_complete, validate_directory, write_file, write_manifest
from tzrec.encoding.parts import PartResult, find_part, split_into_parts
from tzrec.encoding.processes import write_parts
from tzrec.encoding.ray_data import write_on_ray
from tzrec.log import logger
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

BAD_ROWS = "_bad_rows.jsonl"
_TEXT_FIELDS = ("input_fields", "input_fields_str", "with_header", "delimiter", "null_values")
_LOG_INTERVAL_S = 10.0


@dataclass(frozen=True)
class EncodeJob:
    """Encoding of one data set.

    Attributes:
        encoder: encodes rows.
        reader: of the input.
        directory: where the files go, a local path or URL.
        provenance: identifies input and settings; an interrupted job continues only if it is unchanged.
        batch_size: rows to encode at a time.
        processes: of this machine, or actors of the Ray cluster.
    """

    encoder: RowEncoder
    reader: Reader
    directory: str
    provenance: Provenance
    batch_size: int
    processes: int

    @classmethod
    def open(
        cls,
        config: EasyRecConfig,
        input_path: str,
        directory: str,
        fg_mode: int,
        reserved: Sequence[str],
        batch_size: int,
        processes: int,
        on_ray: bool = False,
    ) -> EncodeJob:
        """Open the input.

        Args:
            config: declares the features and how the input is read.
            input_path: comma list of globs.
            directory: where the files go.
            fg_mode: FG_NONE or FG_BUCKETIZE, the mode the output is read with.
            reserved: input columns to copy.
            batch_size: rows to encode at a time.
            processes: of this machine, or actors of the Ray cluster.
            on_ray: encode on a Ray cluster.

        Raises:
            DataError: the input cannot be read.
        """
        encoder, data = RowEncoder(config, reserved, fg_mode=fg_mode), config.data_config
        reader = open_reader(data, input_path, encoder.columns)
        if reader.is_text:  # column types are inferred once for all files
            targets = [*data.label_fields, *data.sample_weight_fields]
            schema = TextSchema.of(data, reader, encoder.feature_columns, targets, reserved)
            encoder = RowEncoder(config, reserved, schema, fg_mode)
        provenance = Provenance.of(config, data_pb2.FgMode.Name(fg_mode), on_ray, reserved, reader.files)
        return cls(encoder, reader, directory, provenance, batch_size, processes)

    def run(self) -> None:
        """Encode the rows that are not encoded yet.

        Raises:
            UsageError: the directory holds something else.
            CheckpointError: another process writes to the directory.
            DataError: the input cannot be read, or a bad value under the ERROR policy.
        """
        validate_directory(self.directory, self.provenance)
        lock = Lock(Path(self.directory), "--output_path") if "://" not in self.directory else None
        try:
            self._run_on_ray() if self.provenance.on_ray else self._run_in_processes()
        finally:
            if lock:
                lock.release()

    def _run_in_processes(self) -> None:
        """Write part by part; parts of an interrupted run are kept."""
        start = last_log = time.perf_counter()
        parts = split_into_parts(self.reader)
        results = [find_part(part, self.directory, self.provenance.stamp) for part in parts]
        missing = [part for part, result in zip(parts, results, strict=True) if result is None]
        write_manifest(self.directory, self.provenance, parts, results)
        if len(missing) < len(parts):
            _log(f"{self.directory}: {len(parts) - len(missing)} of {len(parts)} parts are already encoded")
        for part, result in write_parts(
            self.encoder, missing, self.directory, self.provenance.stamp, self.batch_size, self.processes
        ):
            results[part.number] = result
            if time.perf_counter() - last_log > _LOG_INTERVAL_S:
                last_log = time.perf_counter()
                _log(f"{len(parts) - results.count(None)} of {len(parts)} parts")
        write_manifest(self.directory, self.provenance, parts, results)
        _report([result for result in results if result], self.directory, time.perf_counter() - start)

    def _run_on_ray(self) -> None:
        """Write all files at once, unless they are complete."""
        if is_complete(self.directory):
            _log(f"{self.directory} is already encoded")
            return
        start = time.perf_counter()
        results = write_on_ray(self.encoder, self.reader, self.directory, self.processes, self.batch_size)
        write_manifest(self.directory, self.provenance, [], results)
        rows = sum(result.rows for result in results)
        skipped = _skipped(self.reader.count() - rows)
        _log(f"{self.directory}  {rows:,} rows{skipped}, {time.perf_counter() - start:.0f} s")


def encoded_config(config: EasyRecConfig, fg_mode: int, train_path: str, eval_path: str = "") -> EasyRecConfig:
    """Copy a config with the paths and data_config of the encoded data, everything else unchanged."""
    encoded = EasyRecConfig()
    encoded.CopyFrom(config)
    encoded.train_input_path, encoded.eval_input_path = train_path, eval_path
    encoded.data_config.dataset_type = data_pb2.ParquetDataset
    encoded.data_config.fg_mode = fg_mode  # type: ignore[assignment]  # the stub has its own int type
    for name in _TEXT_FIELDS:
        encoded.data_config.ClearField(name)  # type: ignore[arg-type]
    for feature in encoded.feature_configs:
        _clear(feature, "fg_encoded_default_value")
    return encoded


def _clear(message: Message, name: str) -> None:
    """Clear a field in all nested messages: a row without ids has none after encoding either."""
    for field, value in message.ListFields():
        if field.name == name:
            message.ClearField(name)  # type: ignore[arg-type]
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for nested in value if field.is_repeated else [value]:
                _clear(nested, name)


def _report(results: Sequence[PartResult], directory: str, seconds: float) -> None:
    """Log the totals, and write a sample of the bad rows."""
    counts: Counter[str] = Counter()
    for result in results:
        counts.update({f"{column}: {reason}": count for column, reason, count in result.bad})
    if counts:
        sample = [line for result in results for line in result.sample][:SAMPLE_ROWS]
        write_file(directory, BAD_ROWS, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in sample))
        summary = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        logger.warning("fg     bad rows: %s; see %s/%s", summary, directory, BAD_ROWS)
    read, rows = sum(result.read for result in results), sum(result.rows for result in results)
    _log(f"{directory}  {rows:,} rows in {len(results)} parts{_skipped(read - rows)}, {seconds:.0f} s")


def _skipped(rows: int) -> str:
    return f", {rows:,} skipped" if rows else ""


def _log(text: str) -> None:
    logger.info("fg     %s", text)
