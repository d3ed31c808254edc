"""Score Parquet files on a Ray cluster: the function behind `tzrec predict --ray`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tzrec.data.parts.directory import write_manifest
from tzrec.data.parts.provenance import Provenance
from tzrec.data.ray_data import write_on_ray
from tzrec.data.reader import open_reader
from tzrec.errors import UsageError
from tzrec.formatting import format_count
from tzrec.log import logger
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.predict import PredictOptions
from tzrec.serving.output import OutputDirectory
from tzrec.serving.row_scorer import RowScorer


def predict_on_ray(
    config: EasyRecConfig,
    input_path: str,
    output_path: str,
    package_path: str,
    options: PredictOptions,
    edit: Mapping[str, Any],
) -> int:
    """Score the rows of Parquet files with a package, on the Ray cluster of this machine or a local one.

    Args:
        config: of the package, with edits and flags applied.
        input_path: comma list of globs; every node needs access to the files by the same paths.
        output_path: new or empty directory, or one with scores to overwrite, see `predict`.
        package_path: exported package, which every node can read by this path.
        options: columns and batches.
        edit: changes to the config of the package: path -> value.

    Returns:
        Rows written.

    Raises:
        UsageError: an option that Ray does not support, or the output directory is not empty.
        SetupError: Ray is not installed.
        PackageError: there is no package, or it is damaged.
        DataError: the data cannot be read.
    """
    _validate(config, options)
    output = OutputDirectory(output_path, existing=options.existing)
    output.ensure_unoccupied()
    start = time.perf_counter()
    scorer = RowScorer(package_path, options.reserved_columns, options.output_columns, edit)
    reader = open_reader(config.data_config, input_path, [])
    columns, _ = scorer.columns(reader.available)
    batch_size = options.batch_size or config.data_config.eval_batch_size or config.export_config.max_batch_size
    output.create()
    try:
        output.clear()
        rows_by_part = write_on_ray(
            reader.files, columns, RowScorer, scorer.arguments, str(output.draft), None, batch_size
        )
        provenance = Provenance.of({"command": "predict --ray"}, {"command": "by tzrec {}"}, reader.files)
        entries = [{"name": name, "rows": rows} for name, rows in rows_by_part.items()]
        write_manifest(output.draft, provenance, entries, is_complete=True)
        output.publish()
    except BaseException:
        output.discard()
        raise
    total = sum(rows_by_part.values())
    rate = format_count(total / (time.perf_counter() - start))
    logger.info("predict %s  (%s rows, %s/s)", output_path, f"{total:,}", rate)
    return total


def _validate(config: EasyRecConfig, options: PredictOptions) -> None:
    """Refuse options that have no meaning on Ray.

    Raises:
        UsageError: names the flag.
    """
    if config.data_config.dataset_type != data_pb2.ParquetDataset:
        name = data_pb2.DatasetType.Name(config.data_config.dataset_type)
        raise UsageError(f"--ray reads Parquet, not {name}; score other files without it, or under torchrun")
    given = {
        "--writer_type CsvWriter": options.file_format == "csv",
        "--predict_steps": options.num_batches is not None,
        "--debug_level": options.has_features,
        "--is_profiling": bool(options.trace_path),
        "--append": options.existing == "append",
        "--partition_folders": options.has_folders,
    }
    flags = [flag for flag, is_given in given.items() if is_given]
    if flags:
        raise UsageError(f"{', '.join(flags)} cannot be combined with --ray; leave one of them out")
