"""Score files: the function behind `tzrec predict` and `tzrec.predict`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from tzrec import registry
from tzrec.data.existing import Existing
from tzrec.data.parts.directory import PartDirectory, read_manifest
from tzrec.data.parts.loader import PartLoader
from tzrec.data.parts.part import Part, PartNames, PartResult
from tzrec.data.parts.progress import PartProgress
from tzrec.data.parts.provenance import Provenance, encoding_digest
from tzrec.data.parts.report import BAD_ROWS, report_bad_values
from tzrec.data.parts.run import run_parts
from tzrec.distributed import group
from tzrec.distributed.part_ranks import PartRanks
from tzrec.errors import DataError, UsageError
from tzrec.formatting import format_count
from tzrec.log import logger
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.session import Session
from tzrec.serving.output import OutputColumns, OutputDirectory
from tzrec.serving.package_manifest import MODEL
from tzrec.serving.part_scorer import PartScorer
from tzrec.version import __version__

_CHANGES = {
    "command": "by tzrec {}",
    "version": "by version {} of tzrec",
    "weights_sha256": "with another package or checkpoint",
    "config_sha256": "with another config",
    "reserved_columns": "with --reserved_columns {}",
    "output_columns": "with --output_columns {}",
    "file_format": "as {} files",
    "has_features": "with another --debug_level",
    "has_folders": "with another --partition_folders",
    "num_rows": "with another --predict_steps, --batch_size or number of ranks",
}


@dataclass(frozen=True)
class PredictOptions:
    """Options of a prediction.

    Attributes:
        reserved_columns: input columns to copy to the output; ALL_COLUMNS and ALL_EFFECTIVE_COLUMNS stand for many.
        output_columns: outputs of the model to write; all if empty.
        batch_size: rows per batch. Default: `eval_batch_size` of the config.
        num_batches: score only the first rows: so many full batches on each rank.
        file_format: "parquet" or "csv". Default: as the input.
        has_features: add a column `__features__` with the encoded features.
        trace_path: write a trace of torch's profiler to this path.
        existing: what becomes of scores that the output directory holds: "refuse" to start, "overwrite" them when the
            new ones are complete, or "append" those of the input files that are not scored in it yet.
        has_folders: write each part into the partition folders of its input file, such as `dt=2024-05-01`.
    """

    reserved_columns: Sequence[str] = ()
    output_columns: Sequence[str] = ()
    batch_size: int | None = None
    num_batches: int | None = None
    file_format: str = ""
    has_features: bool = False
    trace_path: str = ""
    existing: Existing = "refuse"
    has_folders: bool = False


def predict(
    config: EasyRecConfig,
    input_path: str,
    output_path: str,
    package_path: str | None = None,
    checkpoint_path: str | None = None,
    options: PredictOptions = PredictOptions(),
) -> int:
    """Score the rows of files with a package or a checkpoint. Labels are not read.

    Every input file, and of a large one every few row groups, is a part with an output file of its own. A rank takes
    the next part when it has finished one. Finished parts of a prediction that ended early are not scored again.

    Args:
        config: config of the package or the checkpoint.
        input_path: comma list of globs.
        output_path: new or empty directory, or one with scores, see `PredictOptions.existing`; it is complete when it
            holds `_SUCCESS`, a local one when it exists.
        package_path: exported package.
        checkpoint_path: without a package: a checkpoint or a model directory. Default: selected by `export_config`.
        options: columns, batches and formats.

    Returns:
        Rows of all parts that were written.

    Raises:
        UsageError: the output directory holds something else, a column does not exist, there are no partition folders,
            or the model of the checkpoint is one whose parts are exported.
        PackageError, CheckpointError: there is no model, or it is damaged.
        DataError: the data cannot be read.
        TrainingError: another rank failed.
    """
    if package_path is None:
        ensure_whole(config)
    output = OutputDirectory(output_path, existing=options.existing)
    output.ensure_unoccupied()
    start = time.perf_counter()
    with Session.load(config, checkpoint_path, package_path, purpose="serving") as session:
        ranks = PartRanks("predict", session.rank_info)
        reserved, batch_size = options.reserved_columns, options.batch_size
        folders = options.has_folders
        loader = PartLoader(config, session.encoder, input_path, reserved, batch_size, ranks.exchange, folders)
        file_format = options.file_format or _format_of(config)
        columns = OutputColumns(tuple(options.output_columns), options.has_features)
        num_rows = options.num_batches and options.num_batches * loader.batch_size * session.rank_info.world_size
        provenance = _provenance(session, loader, options, file_format, num_rows)
        parts = _split(output, loader, num_rows, options, provenance)
        if not parts:
            logger.info(
                "predict %s  all %s input files are scored already", output_path, f"{len(loader.reader.files):,}"
            )
            return 0
        earlier = output.earlier.manifest if output.earlier else None
        directory = PartDirectory(output.draft, provenance, parts, file_format, earlier)
        progress = PartProgress("predict")

        def advance(num_rows: int) -> None:
            ranks.advance()
            progress.advance(num_rows)

        scorer = PartScorer(session.scorer(), loader, columns, str(output.draft), file_format, advance)
        group.barrier()  # not reached if a rank could not load its model: then nothing is created
        with _kept_if_finished(output, directory, ranks), _profiler(options.trace_path):
            results = run_parts(directory, ranks, scorer.write_parts, progress, lambda: _open(output, directory))
            if ranks.is_main:
                _publish(output, directory, results)
        total = int(group.broadcast(sum(result.rows for result in results)))
        rate = format_count(group.total([scorer.num_rows])[0] / (time.perf_counter() - start))
        logger.info("predict %s  (%s rows, %s/s)", output_path, f"{total:,}", rate)
        return total


def _split(
    output: OutputDirectory,
    loader: PartLoader,
    num_rows: int | None,
    options: PredictOptions,
    provenance: Provenance,
) -> list[Part]:
    """Split the input files that are not scored yet into parts.

    Raises:
        UsageError: the parts cannot be added to those that are there, or there are no partition folders.
    """
    files, earlier = loader.reader.files, output.earlier
    if options.has_folders and not any(file.partitions for file in files):
        raise UsageError("--partition_folders: the input has no partition folders such as dt=2024-05-01; leave it out")
    names = PartNames(earlier.num_parts if earlier else 0, options.has_folders)
    if earlier is None:
        return loader.split(num_rows, names)
    earlier.ensure_same_columns(provenance.settings)
    return loader.split(num_rows, names, earlier.scored(files))


def ensure_whole(config: EasyRecConfig) -> None:
    """Check that a checkpoint of the model can be scored, not only the packages of its parts.

    Raises:
        UsageError: it cannot.
    """
    names = registry.resolve_class(config.model_config, "model").part_names
    if names and MODEL not in names:
        model = config.model_config.WhichOneof("model")
        raise UsageError(
            f"the {' and the '.join(names)} part of {model} are scored separately, not from a checkpoint: run `tzrec "
            f"export` and pass a package with --model_path, e.g. <export_dir>/{names[0]}"
        )


def _open(output: OutputDirectory, directory: PartDirectory) -> None:
    """Create the draft; what a prediction with other input or options has left in it is removed."""
    output.create()
    manifest = read_manifest(directory.path)
    changes = directory.changes_since(manifest) if manifest else []
    if changes:
        logger.warning(
            "predict %s: parts of a prediction that ended early were created %s; starting afresh",
            directory.path,
            " and ".join(changes),
        )
    if changes or not manifest:
        output.clear()


def _publish(output: OutputDirectory, directory: PartDirectory, results: Sequence[PartResult]) -> None:
    if not any(result.read for result in results):
        raise DataError(f"no rows in {len(directory.parts):,} files of --predict_input_path")
    summary = report_bad_values(results, directory.path)
    directory.finish(results)
    output.publish()
    if summary:
        logger.warning("bad rows: %s; see %s/%s", summary, output.path, BAD_ROWS)


@contextmanager
def _kept_if_finished(output: OutputDirectory, directory: PartDirectory, ranks: PartRanks) -> Iterator[None]:
    """On an error, keep the draft for the same command if it holds finished parts; remove it otherwise."""
    try:
        yield
    except BaseException:
        if ranks.is_main and output.is_open:
            num_finished = directory.count_records()
            if num_finished:
                logger.warning(
                    "predict %s: %s of %s parts are finished and kept; run the same command again to score the others",
                    directory.path,
                    f"{num_finished:,}",
                    f"{len(directory.parts):,}",
                )
                output.release()
            else:
                output.discard()
        raise


def _provenance(
    session: Session, loader: PartLoader, options: PredictOptions, file_format: str, num_rows: int | None
) -> Provenance:
    """Describe what determines the rows of the output, whatever the number of ranks and the size of batches."""
    settings = {
        "command": "predict",
        "version": __version__,
        "weights_sha256": session.weights_digest,
        "checkpoint": session.checkpoint_digest,
        "config_sha256": _config_digest(session.config),
        "reserved_columns": list(loader.reserved),
        "output_columns": list(options.output_columns),
        "file_format": file_format,
        "has_features": options.has_features,
        "has_folders": options.has_folders,
        "num_rows": num_rows,
    }
    return Provenance.of(settings, _CHANGES, loader.reader.files)


def _config_digest(config: EasyRecConfig) -> str:
    """Digest of what determines scores besides the weights."""
    copy = EasyRecConfig()
    copy.CopyFrom(config)
    for name in ("num_workers", "batch_size", "eval_batch_size"):
        copy.data_config.ClearField(name)  # type: ignore[arg-type]  # a literal type of the stub
    model = config.model_config.SerializeToString(deterministic=True)
    precision = config.export_config.mixed_precision
    return hashlib.sha256(f"{encoding_digest(copy)} {precision} ".encode() + model).hexdigest()


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
