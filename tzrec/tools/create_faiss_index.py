"""Build an index of faiss from a table of item vectors: the files `faiss_index` and `id_mapping`.

python -m tzrec.tools.create_faiss_index --embedding_input_path 'item_vectors/*.parquet' --id_field item_id \\
    --embedding_field item_tower_emb --index_type HNSWFlatIP --index_output_dir export/user

`tzrec index` does the same, and computes the vectors with the package of the item tower if there are none.
"""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli, env
from tzrec.index import add_build_flags, local_directory
from tzrec.retrieval.options import READERS, IndexOptions

TYPES = ("IVFFlatIP", "HNSWFlatIP", "IVFFlatL2", "HNSWFlatL2")
_ODPS = "MaxCompute is not supported; write the table as Parquet"


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0."""
    flags = cli.parser("tools.create_faiss_index", "Build an index of faiss from a table of item vectors.")
    text = "comma list of globs: the vectors"
    flags.add_argument("--embedding_input_path", required=True, metavar="GLOB", help=text)
    text = "rows to read at a time (1024)"
    flags.add_argument("--batch_size", type=cli.positive, metavar="ROWS", default=1024, help=text)
    text = "directory of the index, as <export>/user"
    flags.add_argument("--index_output_dir", required=True, metavar="DIR", help=text)
    text = "IP: greatest inner product, L2: smallest distance (IVFFlatIP)"
    flags.add_argument("--index_type", choices=TYPES, default="IVFFlatIP", help=text)
    add_build_flags(flags)
    flags.add_argument("--id_field", required=True, metavar="COLUMN", help="ids of the items")
    flags.add_argument("--embedding_field", required=True, metavar="COLUMN", help="vectors of the items")
    flags.add_argument("--reader_type", choices=READERS, help="format of the files; default: by their extension")
    flags.reject(_ODPS, "--odps_data_quota_name")
    args = flags.parse_args(argv)
    if not env.rank_info().is_main:  # one process is enough
        return 0
    directory = local_directory(args.index_output_dir)
    options = IndexOptions(
        index_type=args.index_type,
        nlist=args.ivf_nlist,
        num_links=args.hnsw_M,
        ef_construction=args.hnsw_efConstruction,
    )
    from tzrec.run.index import ItemSource, index  # imports torch, which takes seconds

    source = ItemSource(
        input_path=args.embedding_input_path,
        id_field=args.id_field,
        embedding_field=args.embedding_field,
        reader=args.reader_type,
        batch_rows=args.batch_size,
    )
    index(source, directory, options)
    return 0


if __name__ == "__main__":
    cli.leave(main())
