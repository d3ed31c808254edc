"""`tzrec fg`: encode the features of a data set once, so that training need not encode them in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tzrec import cli, env
from tzrec.config.comma_list import split_commas
from tzrec.log import logger
from tzrec.protos import data_pb2

if TYPE_CHECKING:
    from tzrec.data.parts.run import Ranks
    from tzrec.protos.pipeline_pb2 import EasyRecConfig

CONFIG = "pipeline.config"
_MODES = {"FG_NONE": data_pb2.FG_NONE, "FG_BUCKETIZE": data_pb2.FG_BUCKETIZE}


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0 when all rows are encoded, 1 when the command must be run again."""
    args = _flags().parse_args(argv)
    from tzrec.config.check import load_checked
    from tzrec.config.load import dump_config
    from tzrec.data.parts.directory import write_file
    from tzrec.encoding.job import EncodeJob, encoded_config
    from tzrec.storage.path import to_path

    config = load_checked(args.pipeline_config, args.edit_config_json)
    output = args.output_path.rstrip("/")
    if args.input_path:
        paths = [(args.input_path, f"{output}/data")]
    else:
        paths = [(config.train_input_path, f"{output}/train"), (config.eval_input_path, f"{output}/eval")]
    mode = _MODES[args.fg_mode]
    encoded_paths = []
    reserved, rows, processes = args.reserved_columns, args.batch_size, args.processes or env.cpu_share()
    with _ranks(config) as ranks:
        for number, (path, directory) in enumerate(paths):
            if path:
                EncodeJob.open(config, path, directory, mode, reserved, rows, processes, ranks(number), args.ray).run()
            encoded_paths.append(f"{directory}/*.parquet" if path else "")
        if env.rank_info().is_main:
            write_file(to_path(output), CONFIG, dump_config(encoded_config(config, mode, *encoded_paths)))
    logger.info("fg     train with --pipeline_config %s/%s", output, CONFIG)
    return 0


@contextmanager
def _ranks(config: EasyRecConfig) -> Iterator[Callable[[int], Ranks]]:
    """Join the ranks of torchrun, if it started this process; yields the ranks as sharers of a data set by number."""
    from tzrec.data.parts.run import SoleRank

    rank_info = env.rank_info()
    if not rank_info.launched:
        yield lambda number: SoleRank()
        return
    from tzrec.distributed import group  # imports torch
    from tzrec.distributed.part_ranks import PartRanks

    group.init(rank_info, config.train_config.rank_timeout_s)
    try:
        yield lambda number: PartRanks(f"fg{number}", rank_info)
    except BaseException as error:
        lost = group.close(error)
        raise lost or error from error
    group.close()


def _flags() -> cli.Flags:
    flags = cli.parser("fg", "Encode the features of a data set once; training on the result does not encode again.")
    flags.config()
    text = "comma list of globs, encoded into data/; default: the paths of the config, into train/ and eval/"
    flags.add_argument("--input_path", metavar="GLOB", help=text)
    text = "a new directory, or that of an interrupted run of the same command"
    flags.add_argument("--output_path", required=True, metavar="DIR", help=text)
    text = "FG_NONE: ids and numbers; FG_BUCKETIZE: values before they become ids, so that table sizes may change"
    flags.add_argument("--fg_mode", choices=list(_MODES), default="FG_NONE", help=text)
    text = "input columns to copy to the output"
    flags.add_argument("--reserved_columns", type=split_commas, default=[], metavar="COLUMN,...", help=text)
    flags.add_argument(
        "--processes",
        type=cli.positive,
        metavar="N",
        help="of each rank; default: its share of the cores",
    )
    flags.add_argument(
        "--batch_size", type=cli.positive, default=32768, metavar="ROWS", help="rows to encode at a time"
    )
    flags.switch("--ray", "encode on a Ray cluster: the one this machine belongs to, or a local one")
    flags.edits()
    return flags


if __name__ == "__main__":
    cli.leave(main())
