"""Retrieve items from a tree by beam search with the model of a package, for the users of files.

torchrun --nproc-per-node=2 -m tzrec.tools.tdm.retrieval --scripted_model_path export/model \\
    --predict_input_path 'data/eval/*.parquet' --predict_output_path data/retrieved \\
    --reserved_columns user_id,item_id --recall_num 200
"""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli, env
from tzrec.config.comma_list import split_commas
from tzrec.errors import UsageError
from tzrec.log import logger
from tzrec.protos import data_pb2

_DATASETS = ("ParquetDataset", "CsvDataset", "OrcDataset", "ArrowDataset", "DeltaDataset", "IcebergDataset")
_FORMAT_BY_WRITER = {"ParquetWriter": "parquet", "CsvWriter": "csv"}


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0."""
    args = _flags().parse_args(argv)
    env.set_openmp_spin()
    from tzrec.run.tree_retrieval import TreeRetrieval  # imports torch, which takes seconds
    from tzrec.serving.predictor import package_config

    config = package_config(args.model_path, args.edit_config_json)
    if config.data_config.WhichOneof("sampler") != "tdm_sampler":
        raise UsageError(
            f"--scripted_model_path {args.model_path}: its config has no tdm_sampler, which names the tables of a "
            "tree; pass the directory model/ of an exported tdm model"
        )
    if args.dataset_type:
        config.data_config.dataset_type = getattr(data_pb2, args.dataset_type)
    if args.num_worker_per_level or args.debug_level:
        logger.info(
            "flags  --num_worker_per_level and --debug_level have no effect: a batch of users is searched at once"
        )
    TreeRetrieval(
        config=config,
        package_path=args.model_path,
        input_path=args.predict_input_path,
        output_path=args.predict_output_path,
        count=args.recall_num,
        num_children=args.n_cluster,
        reserved_columns=split_commas(args.reserved_columns),
        batch_rows=args.batch_size,
        file_format=_FORMAT_BY_WRITER.get(args.writer_type, ""),
    ).run()
    return 0


def _flags() -> cli.Flags:
    flags = cli.parser("tools.tdm.retrieval", "Retrieve items from a tree by beam search, for the users of files.")
    text = "package of the model that scores nodes: the directory model/ of `tzrec export`"
    flags.add_argument("--model_path", "--scripted_model_path", required=True, metavar="DIR", help=text)
    flags.add_argument("--predict_input_path", required=True, metavar="GLOB", help="comma list of globs: the users")
    flags.add_argument("--predict_output_path", required=True, metavar="DIR", help="new directory of the items found")
    text = "input columns to copy; also ALL_COLUMNS, or ALL_EFFECTIVE_COLUMNS (those the model reads)"
    flags.add_argument("--reserved_columns", default="", metavar="COLUMN,...", help=text)
    text = "users at a time; default: eval_batch_size of the config"
    flags.add_argument("--batch_size", type=cli.positive, metavar="ROWS", help=text)
    flags.add_argument("--dataset_type", choices=_DATASETS, help="format of the input; default: as in the config")
    flags.add_argument("--writer_type", choices=_FORMAT_BY_WRITER, help="format of the output; default: as the input")
    text = "items to find for each user (200)"
    flags.add_argument("--recall_num", type=cli.positive, metavar="K", default=200, help=text)
    text = "children of a node, which determine the level at which the search begins; default: those of the tree"
    flags.add_argument("--n_cluster", type=cli.whole_number(2, 1 << 16), metavar="N", help=text)
    text = "accepted, without effect: a batch of users is searched at once"
    flags.add_argument("--num_worker_per_level", type=cli.positive, metavar="N", help=text)
    flags.add_argument(
        "--debug_level", type=cli.whole_number(0), metavar="N", default=0, help="accepted, without effect"
    )
    flags.reject("use a profiler of Python, such as py-spy, instead", "--is_profiling")
    flags.edits()
    return flags


if __name__ == "__main__":
    cli.leave(main())
