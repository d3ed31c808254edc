"""Score files: the function behind `tzrec predict` and `tzrec.predict`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch

from tzrec.data.loader import DataLoader
from tzrec.data.writer import Writer, open_writer
from tzrec.distributed import group
from tzrec.errors import TrainingError
from tzrec.formatting import format_count
from tzrec.log import logger
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.session import Session
from tzrec.serving.output import OutputColumns, OutputDirectory
from tzrec.serving.predictor import Scorer


@dataclass(frozen=True)
class PredictOptions:
    """Options of a prediction.

    Attributes:
        reserved_columns: input columns to copy to the output; ALL_COLUMNS and ALL_EFFECTIVE_COLUMNS stand for many.
        output_columns: outputs of the model to write; all if empty.
        batch_size: rows per batch. Default: `eval_batch_size` of the config.
        num_batches: stop after this many batches on each rank.
        file_format: "parquet" or "csv". Default: as the input.
        has_features: add a column `__features__` with the encoded features.
        trace_path: write a trace of torch's profiler to this path.
    """

    reserved_columns: Sequence[str] = ()
    output_columns: Sequence[str] = ()
    batch_size: int | None = None
    num_batches: int | None = None
    file_format: str = ""
    has_features: bool = False
    trace_path: str = ""


def predict(
    config: EasyRecConfig,
    input_path: str,
    output_path: str,
    package_path: str | None = None,
    checkpoint_path: str | None = None,
    options: PredictOptions = PredictOptions(),
) -> int:
    """Score the rows of files with a package or a checkpoint; each rank writes one file. Labels are not read.

    Args:
        config: config of the package or the checkpoint.
        input_path: comma list of globs.
        output_path: new or empty directory; it appears when all ranks are done.
        package_path: exported package.
        checkpoint_path: without a package: a checkpoint or a model directory. Default: selected by `export_config`.
        options: columns, batches and formats.

    Returns:
        Rows that all ranks wrote.

    Raises:
        UsageError: the output directory is not empty, or a column does not exist.
        PackageError, CheckpointError: there is no model, or it is damaged.
        DataError: the data cannot be read.
        TrainingError: another rank failed.
    """
    OutputDirectory(output_path).ensure_unoccupied()
    start = time.perf_counter()
    with Session.load(config, checkpoint_path, package_path, purpose="serving") as session:
        loader = session.loader(input_path, "predict", options.reserved_columns, options.batch_size)
        output = OutputDirectory(output_path, group.broadcast(uuid.uuid4().hex[:8]))
        with _published_together(output, session):
            file_format = options.file_format or _format_of(config)
            writer = open_writer(output.temporary, session.rank_info.rank, file_format)
            with _profiler(options.trace_path), writer:
                num_rows = _write_scores(session.scorer(), loader, writer, options)
        _warn_of_bad_rows(loader)
        total = int(group.total([num_rows])[0])
        rate = format_count(total / (time.perf_counter() - start))
        logger.info("predict %s  (%s rows, %s/s)", output_path, f"{total:,}", rate)
        return total


@contextmanager
def _published_together(output: OutputDirectory, session: Session) -> Iterator[None]:
    """Create the temporary output directory, and publish it when the block has succeeded on all ranks."""
    group.barrier()  # not reached if a rank could not load its model: then nothing is left to remove
    error: Exception | None = None
    try:
        if session.rank_info.is_main:
            output.create()
    except Exception as raised:  # of any type: the other ranks must be informed
        error = raised
    if not group.all_agree(error is None):
        raise error or TrainingError("rank 0 could not create the output directory; see its error")
    try:
        yield
    except Exception as raised:
        error = raised
    group.wait_for_all()  # the ranks have different numbers of rows, and one may take much longer
    is_complete = group.all_agree(error is None)
    if session.rank_info.is_main:
        output.publish() if is_complete else output.discard()
    if error:
        raise error
    if not is_complete:
        raise TrainingError("another rank failed, so nothing was published; see its error")


def _write_scores(scorer: Scorer, loader: DataLoader, writer: Writer, options: PredictOptions) -> int:
    """Score and write all batches of this rank; return the number of rows."""
    columns, num_rows = OutputColumns(tuple(options.output_columns), options.has_features), 0
    with torch.inference_mode():
        for batch in islice(loader.epoch(), options.num_batches):
            if not batch.rows:
                continue
            outputs = scorer.predict(scorer.signature.from_batch(batch))
            writer.write(columns.table(outputs, batch))
            num_rows += batch.rows
            group.advance()
    return num_rows


def _warn_of_bad_rows(loader: DataLoader) -> None:
    if loader.bad_value_counts:
        reasons = ", ".join(
            f"{column}: {reason} {count:,}" for (column, reason), count in loader.bad_value_counts.items()
        )
        logger.warning("bad rows: %s", reasons)


def _format_of(config: EasyRecConfig) -> str:
    return "csv" if config.data_config.dataset_type == data_pb2.CsvDataset else "parquet"


@contextmanager
def _profiler(path: str) -> Iterator[None]:
    """Write a trace for chrome://tracing, if a path is given."""
    if not path:
        yield
        return
    with torch.profiler.profile() as profile:
        yield
    profile.export_chrome_trace(path)
