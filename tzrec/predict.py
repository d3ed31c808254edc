"""`tzrec predict`: score rows with a package or a checkpoint."""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tzrec import cli
from tzrec.errors import TrainingError, UsageError
from tzrec.log import logger
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

if TYPE_CHECKING:
    from tzrec.data.loader import DataLoader
    from tzrec.data.writer import Writer
    from tzrec.run.session import Session
    from tzrec.serving.predictor import Scorer

_DATASETS = ("ParquetDataset", "CsvDataset")
_WRITERS = {"ParquetWriter": "parquet", "CsvWriter": "csv"}


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 where nothing was published."""
    args = _flags().parse_args(argv)
    from tzrec.run.session import Session  # torch and torchrec take seconds to import
    from tzrec.serving.output import OutputDirectory

    output = OutputDirectory(args.predict_output_path)
    output.refuse_occupied()
    config = _config(args)
    session = Session(config)
    try:
        _predict_all(args, session, output)
    finally:
        session.close()
    return 0


def _flags() -> cli.Flags:
    flags = cli.parser("predict", "Score rows with a package or a checkpoint. No labels are needed.")
    flags.add_argument("--model_path", "--scripted_model_path", metavar="DIR", help="package that `tzrec export` made")
    flags.config(required=False, help="config of the model, to score with a checkpoint")
    flags.add_argument("--checkpoint_path", help="checkpoint or model directory; default: as export_config says")
    flags.add_argument("--predict_input_path", required=True, metavar="GLOB", help="comma list of globs")
    flags.add_argument("--predict_output_path", required=True, metavar="DIR", help="new or empty; one file per rank")
    flags.add_argument(
        "--reserved_columns",
        default="",
        metavar="COLUMN,...",
        help="columns of the input to hand through; also ALL_COLUMNS, or ALL_EFFECTIVE_COLUMNS (those the model reads)",
    )
    flags.add_argument("--output_columns", default="", metavar="NAME,...", help="outputs to write; default: all")
    flags.add_argument("--batch_size", type=int, help="rows at a time; default: the config's eval_batch_size")
    flags.add_argument("--predict_threads", type=int, help="threads that read and encode ahead of the model")
    flags.add_argument("--predict_steps", type=int, help="stop after this many batches on each rank")
    flags.add_argument("--dataset_type", choices=_DATASETS, help="kind of the input; default: as the config says")
    flags.add_argument("--writer_type", choices=_WRITERS, help="kind of the output; default: as the input")
    flags.switch("--is_profiling", "write what takes the time to <predict_output_path>.trace-<rank>.json")
    flags.add_argument("--debug_level", type=int, default=0, help="above 0: a column __features__ with the encoded row")
    flags.edits()
    return flags


def _config(args: Namespace) -> EasyRecConfig:
    """The config of the model, with what the flags change."""
    if bool(args.model_path) == bool(args.pipeline_config):
        raise UsageError("name either --model_path or --pipeline_config")
    if args.model_path:
        if args.checkpoint_path:
            raise UsageError("--checkpoint_path goes with --pipeline_config; a package holds its own weights")
        from tzrec.config.load import load_config
        from tzrec.serving.assets import locate_assets
        from tzrec.serving.package import CONFIG
        from tzrec.serving.package_manifest import PackageManifest

        PackageManifest.read(Path(args.model_path))  # says so when it is no package
        path = Path(args.model_path)
        config = locate_assets(load_config(str(path / CONFIG), args.edit_config_json, ignore_unknown=True), path)
    else:
        from tzrec.config.check import load_checked

        config = load_checked(args.pipeline_config, args.edit_config_json)
    if args.dataset_type:
        config.data_config.dataset_type = getattr(data_pb2, args.dataset_type)
    if args.predict_threads is not None:
        config.data_config.num_workers = args.predict_threads
    return config


def _scorer(args: Namespace, session: Session) -> Scorer:
    if args.model_path:
        from tzrec.serving.package import open_package

        package = open_package(Path(args.model_path))
        logger.info("model  %s  step %d", args.model_path, package.manifest.step)
        return package.program()
    from tzrec.serving.servable import Servable
    from tzrec.serving.trained import choose, load_trained, precision_of

    checkpoint = choose(session.config, args.checkpoint_path)
    logger.info("model  %s", checkpoint.path)
    trained = load_trained(session.config, session.encoder.features, checkpoint)
    return Servable.from_model(trained.ranker, precision_of(session.config))


def _predict_all(args: Namespace, session: Session, output: Any) -> None:
    """This rank's share; published when every rank has done its own."""
    from tzrec.distributed import group
    from tzrec.formatting import format_count

    chief = session.rank_info.is_main
    began = time.perf_counter()
    if chief:
        output.create()
    group.barrier()
    error, rows = None, 0
    try:
        rows = _predict_mine(args, session, output.temporary)
    except Exception as raised:  # whatever it is, the other ranks must hear of it
        error = raised
    everyone = group.all_agree(error is None)
    if chief:
        output.publish() if everyone else output.discard()
    if error:
        raise error
    if not everyone:
        raise TrainingError("another rank failed, so nothing was published; it says why")
    total, seconds = int(group.total([rows])[0]), time.perf_counter() - began
    logger.info("predict %s  (%s rows, %s/s)", args.predict_output_path, f"{total:,}", format_count(total / seconds))


def _predict_mine(args: Namespace, session: Session, directory: str) -> int:
    from tzrec.data.writer import open_writer

    loader = session.loader(args.predict_input_path, "predict", _names(args.reserved_columns), args.batch_size)
    scorer = _scorer(args, session)
    kind = _WRITERS.get(args.writer_type) or _kind_of(session.config)
    trace = f"{args.predict_output_path.rstrip('/')}.trace-{session.rank_info.rank}.json"
    with _profiler(trace if args.is_profiling else ""), open_writer(directory, session.rank_info.rank, kind) as writer:
        rows = _score(scorer, loader, writer, args)
    if loader.bad:
        told = ", ".join(f"{column}: {reason} {count:,}" for (column, reason), count in loader.bad.items())
        logger.warning("bad rows: %s", told)
    return rows


def _score(scorer: Scorer, loader: DataLoader, writer: Writer, args: Namespace) -> int:
    """Score and write every batch; returns the rows written."""
    import torch

    from tzrec.serving.output import OutputColumns

    columns, rows = OutputColumns(_names(args.output_columns), args.debug_level > 0), 0
    with torch.inference_mode():
        for batch in islice(loader.epoch(), args.predict_steps):
            if not batch.rows:
                continue
            outputs = scorer.predict(scorer.signature.from_batch(batch))
            writer.write(columns.table(outputs, batch))
            rows += batch.rows
    return rows


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _kind_of(config: EasyRecConfig) -> str:
    return "csv" if config.data_config.dataset_type == data_pb2.CsvDataset else "parquet"


@contextlib.contextmanager
def _profiler(path: str) -> Iterator[None]:
    """Record where time goes and write it for a browser's chrome://tracing."""
    if not path:
        yield
        return
    import torch

    with torch.profiler.profile() as profile:
        yield
    profile.export_chrome_trace(path)


if __name__ == "__main__":
    cli.leave(main())
