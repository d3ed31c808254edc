"""EncodeJob: encode one data set into a directory of Parquet files, and the config that trains on the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from tzrec.checkpoint.lock import Lock
from tzrec.data.parts.directory import PartDirectory, read_manifest, write_manifest
from tzrec.data.parts.part import Part, PartResult, index_large_files, split_into_parts
from tzrec.data.parts.progress import PartProgress
from tzrec.data.parts.provenance import Provenance
from tzrec.data.parts.report import BAD_ROWS, report_bad_values
from tzrec.data.parts.run import Ranks, run_parts
from tzrec.data.ray_data import write_on_ray
from tzrec.data.reader import Reader, open_reader
from tzrec.data.row_encoder import RowEncoder
from tzrec.data.text_schema import TextSchema
from tzrec.encoding.manifest import data_set_provenance, validate_directory
from tzrec.encoding.processes import write_parts
from tzrec.errors import UsageError
from tzrec.log import logger
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.storage.path import AnyPath, to_path

_TEXT_FIELDS = ("input_fields", "input_fields_str", "with_header", "delimiter", "null_values")


@dataclass(frozen=True)
class EncodeJob:
    """Encoding of one data set.

    Attributes:
        encoder: encodes rows.
        reader: of the input.
        directory: where the files go, a local path or URL.
        provenance: identifies input and settings; an interrupted job continues only if it is unchanged.
        batch_size: rows to encode at a time.
        processes: of this rank, or actors of the Ray cluster.
        ranks: that share the parts.
        on_ray: encode on a Ray cluster.
    """

    encoder: RowEncoder
    reader: Reader
    directory: str
    provenance: Provenance
    batch_size: int
    processes: int
    ranks: Ranks
    on_ray: bool

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
        ranks: Ranks,
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
            processes: of this rank, or actors of the Ray cluster.
            ranks: that share the parts.
            on_ray: encode on a Ray cluster.

        Raises:
            DataError: the input cannot be read.
        """
        encoder, data = RowEncoder(config, reserved, fg_mode=fg_mode), config.data_config
        reader = open_reader(data, input_path, encoder.columns, ranks.exchange)
        if not on_ray:
            index_large_files(reader, ranks.exchange)
        if reader.is_text:  # column types are inferred once for all files
            targets = [*data.label_fields, *data.sample_weight_fields]
            schema = TextSchema.of(data, reader, encoder.feature_columns, targets, reserved)
            encoder = RowEncoder(config, reserved, schema, fg_mode)
        provenance = data_set_provenance(config, data_pb2.FgMode.Name(fg_mode), on_ray, reserved, reader.files)
        return cls(encoder, reader, directory, provenance, batch_size, processes, ranks, on_ray)

    @property
    def _path(self) -> AnyPath:
        return to_path(self.directory)

    def run(self) -> None:
        """Encode the rows that are not encoded yet; the ranks of torchrun share the parts.

        Raises:
            UsageError: the directory holds something else.
            CheckpointError: another process writes to the directory.
            DataError: the input cannot be read, or a bad value under the ERROR policy.
            TrainingError: a process was killed, or another rank failed.
        """
        if self.on_ray:
            with self._locked(self.provenance.changes_since):
                self._run_on_ray()
            return
        parts = PartDirectory(self._path, self.provenance, split_into_parts(self.reader))
        start, progress = time.perf_counter(), PartProgress("fg")
        with ExitStack() as stack:
            results = run_parts(
                parts,
                self.ranks,
                lambda drawn: self._work(drawn, progress),
                progress,
                lambda: stack.enter_context(self._locked(parts.changes_since)),
            )
            if self.ranks.is_main:
                parts.finish(results)
                _report(results, self._path, time.perf_counter() - start)
            self.ranks.wait_for_all()

    def _work(self, drawn: Iterator[Part], progress: PartProgress) -> Iterator[tuple[Part, PartResult]]:
        for part, result in write_parts(self.encoder, drawn, self.directory, self.batch_size, self.processes):
            progress.advance(result.read)
            yield part, result

    @contextmanager
    def _locked(self, changes_since: Callable[[Mapping[str, Any]], list[str]]) -> Iterator[None]:
        """Validate the directory and lock it, if it is a local one."""
        validate_directory(self._path, changes_since)
        with Lock(self._path, "--output_path") if isinstance(self._path, Path) else nullcontext():
            yield

    def _run_on_ray(self) -> None:
        """Write all files at once, unless they are complete."""
        if (read_manifest(self._path) or {}).get("complete"):
            _log(f"{self.directory} is already encoded")
            return
        if self.reader.is_text:
            raise UsageError("--ray reads Parquet; encode CSV without it")
        start = time.perf_counter()
        rows_by_part = write_on_ray(
            self.reader.files,
            self.encoder.columns,
            RowEncoder,
            self.encoder.arguments,
            self.directory,
            self.processes,
            self.batch_size,
        )
        entries = [{"name": name, "rows": rows} for name, rows in rows_by_part.items()]
        write_manifest(self._path, self.provenance, entries, is_complete=True)
        rows = sum(rows_by_part.values())
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


def _report(results: Sequence[PartResult], directory: AnyPath, seconds: float) -> None:
    """Log the totals, and write a sample of the bad rows."""
    summary = report_bad_values(results, directory)
    if summary:
        logger.warning("fg     bad rows: %s; see %s/%s", summary, directory, BAD_ROWS)
    read, rows = sum(result.read for result in results), sum(result.rows for result in results)
    _log(f"{directory}  {rows:,} rows in {len(results)} parts{_skipped(read - rows)}, {seconds:.0f} s")


def _skipped(rows: int) -> str:
    return f", {rows:,} skipped" if rows else ""


def _log(text: str) -> None:
    logger.info("fg     %s", text)
