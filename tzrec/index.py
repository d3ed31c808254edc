"""`tzrec index`: build an index of items, to retrieve those that are nearest to users."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tzrec import cli, env
from tzrec.errors import UsageError
from tzrec.live_line import live_line
from tzrec.retrieval.options import INDEX_TYPES, READERS, IndexOptions
from tzrec.storage.path import to_directory


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0."""
    args = _flags().parse_args(argv)
    if not args.model_path and not (args.embedding_field and args.index_output_dir):
        raise UsageError("pass --model_path, or --embedding_field and --index_output_dir")
    if not env.rank_info().is_main:  # one process is enough
        return 0
    directory = local_directory(args.index_output_dir or f"{args.model_path}/user")
    options = IndexOptions(
        index_type=args.index_type,
        nlist=args.ivf_nlist,
        nprobe=args.ivf_nprobe,
        num_links=args.hnsw_M,
        ef_construction=args.hnsw_efConstruction,
        ef_search=args.hnsw_efSearch,
    )
    env.set_openmp_spin()
    with live_line.counting("start  import torch"):
        from tzrec.run.index import ItemSource, index  # imports torch, which takes seconds

    source = ItemSource(
        input_path=args.item_input_path,
        id_field=args.id_field,
        embedding_field=args.embedding_field or "",
        package_dir="" if args.embedding_field else f"{args.model_path}/item",
        reader=args.reader_type,
        batch_rows=args.batch_size,
    )
    index(source, directory, options)
    return 0


def _flags() -> cli.Flags:
    flags = cli.parser("index", "Build an index of items, to retrieve those that are nearest to users.")
    text = "export of a model with two towers: item/ computes the vectors, the index is written into user/"
    flags.add_argument("--model_path", metavar="DIR", help=text)
    flags.add_argument("--item_input_path", required=True, metavar="GLOB", help="comma list of globs: the items")
    flags.add_argument("--id_field", required=True, metavar="COLUMN", help="ids of the items")
    text = "vectors of the items; default: computed from the other columns by <model_path>/item"
    flags.add_argument("--embedding_field", metavar="COLUMN", help=text)
    text = "where the index is written; default: <model_path>/user"
    flags.add_argument("--index_output_dir", metavar="DIR", help=text)
    text = "IP: greatest inner product, L2: smallest distance; Flat is exact, as is Exact, which does without faiss"
    flags.add_argument("--index_type", choices=INDEX_TYPES, default="FlatIP", help=f"{text} (FlatIP)")
    add_build_flags(flags)
    flags.add_argument("--ivf_nprobe", type=cli.positive, metavar="N", default=80, help="IVF: lists to search (80)")
    text = "HNSW: candidates of a search, at least the items to find (128)"
    flags.add_argument("--hnsw_efSearch", type=cli.positive, metavar="N", default=128, help=text)
    flags.add_argument("--batch_size", type=cli.positive, metavar="ROWS", help="rows to read or score at a time")
    text = "format of the items; default: by the extension, or as in the config of <model_path>/item"
    flags.add_argument("--reader_type", choices=READERS, help=text)
    return flags


def add_build_flags(flags: cli.Flags) -> None:
    """Add the flags of the construction of an index."""
    text = "IVF: lists, at most the number of items (1000)"
    flags.add_argument("--ivf_nlist", type=cli.positive, metavar="N", default=1000, help=text)
    flags.add_argument("--hnsw_M", type=cli.whole_number(2, 512), metavar="N", default=32, help="HNSW: links (32)")
    text = "HNSW: candidates when an item is added (200)"
    flags.add_argument("--hnsw_efConstruction", type=cli.positive, metavar="N", default=200, help=text)


def local_directory(directory: str) -> Path:
    """Return the path of the directory of an index.

    Raises:
        UsageError: the directory is in a store.
    """
    path = to_directory("--index_output_dir", directory)
    if not isinstance(path, Path):
        raise UsageError(
            f"--index_output_dir {directory}: an index is mapped from local files; copy the package to a local "
            "directory, write the index there, and load the package from there"
        )
    return path


if __name__ == "__main__":
    cli.leave(main())
