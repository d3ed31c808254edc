"""`tzrec predict`: score files with a package or a checkpoint."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from tzrec import cli, env
from tzrec.config.check import load_checked
from tzrec.config.comma_list import split_commas
from tzrec.errors import UsageError
from tzrec.live_line import live_line
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_DATASETS = ("ParquetDataset", "CsvDataset", "OrcDataset", "ArrowDataset", "DeltaDataset", "IcebergDataset")
_FORMAT_BY_WRITER = {"ParquetWriter": "parquet", "CsvWriter": "csv"}


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return 0; 1 if nothing was published."""
    args = _flags().parse_args(argv)
    if bool(args.model_path) == bool(args.pipeline_config):
        raise UsageError("pass either --model_path or --pipeline_config")
    if args.model_path and args.checkpoint_path:
        raise UsageError("--checkpoint_path requires --pipeline_config; a package has its own weights")
    if args.ray and not args.model_path:
        raise UsageError("--ray requires --model_path: the actors load a package; see tzrec export")
    if args.append and (args.overwrite or args.predict_steps):
        raise UsageError(f"--append cannot be combined with {'--overwrite' if args.overwrite else '--predict_steps'}")
    config = _config(args)
    with live_line.counting("start  import torch"):
        from tzrec.run.predict import PredictOptions, predict  # imports torch, which takes seconds

    trace_path = f"{args.predict_output_path.rstrip('/')}.trace-{env.rank_info().rank}.json"
    options = PredictOptions(
        reserved_columns=split_commas(args.reserved_columns),
        output_columns=split_commas(args.output_columns),
        batch_size=args.batch_size,
        num_batches=args.predict_steps,
        file_format=_FORMAT_BY_WRITER.get(args.writer_type, ""),
        has_features=args.debug_level > 0,
        trace_path=trace_path if args.is_profiling else "",
        existing="overwrite" if args.overwrite else "append" if args.append else "refuse",
        has_folders=args.partition_folders,
    )
    if args.ray:
        from tzrec.run.predict_on_ray import predict_on_ray

        paths = (args.predict_input_path, args.predict_output_path, args.model_path)
        predict_on_ray(config, *paths, options, args.edit_config_json)
        return 0
    predict(
        config,
        args.predict_input_path,
        args.predict_output_path,
        args.model_path,
        args.checkpoint_path,
        options,
    )
    return 0


def _flags() -> cli.Flags:
    flags = cli.parser("predict", "Score files with a package or a checkpoint. Labels are not needed.")
    flags.add_argument("--model_path", "--scripted_model_path", metavar="DIR", help="package of `tzrec export`")
    flags.config(required=False, help="config of the model, to score with a checkpoint")
    flags.add_argument("--checkpoint_path", help="checkpoint or model directory; default: selected by export_config")
    flags.add_argument("--predict_input_path", required=True, metavar="GLOB", help="comma list of globs")
    flags.add_argument(
        "--predict_output_path",
        required=True,
        metavar="DIR",
        help="new, or that of the same command that ended early; see --overwrite and --append",
    )
    flags.add_argument(
        "--reserved_columns",
        default="",
        metavar="COLUMN,...",
        help="input columns to copy; also ALL_COLUMNS, or ALL_EFFECTIVE_COLUMNS (those the model reads)",
    )
    flags.add_argument("--output_columns", default="", metavar="NAME,...", help="outputs to write; default: all")
    flags.add_argument(
        "--batch_size", type=cli.positive, metavar="ROWS", help="rows per batch; default: eval_batch_size of the config"
    )
    flags.add_argument(
        "--predict_threads", type=cli.whole_number(0, 1024), metavar="N", help="threads that read and encode batches"
    )
    flags.add_argument(
        "--predict_steps",
        type=cli.positive,
        metavar="N",
        help="score the first rows only: N batches per rank",
    )
    flags.add_argument("--dataset_type", choices=_DATASETS, help="format of the input; default: as in the config")
    flags.add_argument("--writer_type", choices=_FORMAT_BY_WRITER, help="format of the output; default: as the input")
    flags.switch("--overwrite", "replace the scores in the output directory when the new ones are complete")
    flags.switch("--append", "add the scores of input files that the output directory does not have yet")
    flags.switch("--partition_folders", "write into the partition folders of the input, such as dt=2024-05-01")
    flags.switch("--ray", "score on a Ray cluster: the one this machine belongs to, or a local one")
    flags.switch("--is_profiling", "write a profile to <predict_output_path>.trace-<rank>.json")
    flags.add_argument(
        "--debug_level", type=cli.whole_number(0), metavar="N", default=0, help="above 0: add a column __features__"
    )
    flags.edits()
    return flags


def _config(args: Namespace) -> EasyRecConfig:
    """Load the config of the package or the checkpoint and apply flags."""
    if args.model_path:
        env.set_openmp_spin()  # before the import of torch, and so before the config of the package can be read
        from tzrec.serving.predictor import package_config

        config = package_config(args.model_path, args.edit_config_json)
    else:
        config = load_checked(args.pipeline_config, args.edit_config_json)
    if args.dataset_type:
        config.data_config.dataset_type = getattr(data_pb2, args.dataset_type)
    if args.predict_threads is not None:
        config.data_config.num_workers = args.predict_threads
    return config


if __name__ == "__main__":
    cli.leave(main())
