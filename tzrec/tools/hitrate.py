"""Hit rate: the share of the items that users chose which is among the items nearest to their vectors.

torchrun --nproc-per-node=2 -m tzrec.tools.hitrate --user_gt_input 'user_vectors/*.parquet' \\
    --item_embedding_input 'item_vectors/*.parquet' --total_hitrate_output hitrate --hitrate_details_output details \\
    --item_id_field item_id --item_embedding_field item_tower_emb --request_id_field user_id --gt_items_field gt \\
    --user_embedding_field user_tower_emb --top_k 100
"""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.retrieval.options import INDEX_TYPES, READERS, IndexOptions

_FORMAT_BY_WRITER = {"ParquetWriter": "parquet", "CsvWriter": "csv"}
_ODPS = "MaxCompute is not supported; write the tables as Parquet"


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0."""
    args = _flags().parse_args(argv)
    from tzrec.run.hitrate import HitRateJob, UserTable  # imports torch, which takes seconds
    from tzrec.run.index import ItemSource

    items = ItemSource(args.item_embedding_input, args.item_id_field, args.item_embedding_field, "", args.reader_type)
    users = UserTable(
        input_path=args.user_gt_input,
        request_id_field=args.request_id_field,
        gt_items_field=args.gt_items_field,
        embedding_field=args.user_embedding_field,
        num_interests=args.num_interests,
        num_interests_field=args.num_interests_field or "",
        reader=args.reader_type,
        batch_rows=args.batch_size,
    )
    HitRateJob(
        items=items,
        users=users,
        options=IndexOptions(args.index_type, nlist=args.ivf_nlist, nprobe=args.ivf_nprobe),
        count=args.top_k,
        is_merged=args.topk_across_interests,
        total_path=args.total_hitrate_output,
        details_path=args.hitrate_details_output,
        file_format=_FORMAT_BY_WRITER[args.writer_type],
    ).run()
    return 0


def _flags() -> cli.Flags:
    flags = cli.parser("tools.hitrate", "Measure the hit rate of the items nearest to users.")
    flags.add_argument("--user_gt_input", required=True, metavar="GLOB", help="comma list of globs: the requests")
    flags.add_argument("--item_embedding_input", required=True, metavar="GLOB", help="comma list of globs: the items")
    text = "new directory of a table with one row, hitrate"
    flags.add_argument("--total_hitrate_output", default="", metavar="DIR", help=text)
    text = "new directory of a table with a row per request"
    flags.add_argument("--hitrate_details_output", default="", metavar="DIR", help=text)
    text = "requests at a time (1024)"
    flags.add_argument("--batch_size", type=cli.positive, metavar="ROWS", default=1024, help=text)
    text = "index that finds the items (IVFFlatIP)"
    flags.add_argument("--index_type", choices=INDEX_TYPES, default="IVFFlatIP", help=text)
    text = "items to find for an interest (200)"
    flags.add_argument("--top_k", type=cli.positive, metavar="K", default=200, help=text)
    text = "find top_k items for all interests of a request together; otherwise top_k for each"
    flags.switch("--topk_across_interests", text)
    text = "IVF: lists, at most the number of items (1000)"
    flags.add_argument("--ivf_nlist", type=cli.positive, metavar="N", default=1000, help=text)
    flags.add_argument("--ivf_nprobe", type=cli.positive, metavar="N", default=800, help="IVF: lists to search (800)")
    flags.add_argument("--item_id_field", required=True, metavar="COLUMN", help="ids of the items")
    flags.add_argument("--item_embedding_field", required=True, metavar="COLUMN", help="vectors of the items")
    flags.add_argument("--request_id_field", required=True, metavar="COLUMN", help="ids of the requests, copied")
    text = "items that the user chose: a list of ids, or text with commas"
    flags.add_argument("--gt_items_field", required=True, metavar="COLUMN", help=text)
    text = "vector of the user, or one for each interest"
    flags.add_argument("--user_embedding_field", required=True, metavar="COLUMN", help=text)
    text = "greatest number of vectors of a request (1)"
    flags.add_argument("--num_interests", type=cli.positive, metavar="N", default=1, help=text)
    text = "number of vectors of the request that count; default: all that are not zero"
    flags.add_argument("--num_interests_field", metavar="COLUMN", help=text)
    flags.add_argument("--reader_type", choices=READERS, help="format of the input; default: by the extension")
    text = "format of the output (ParquetWriter)"
    flags.add_argument("--writer_type", choices=list(_FORMAT_BY_WRITER), default="ParquetWriter", help=text)
    flags.reject(_ODPS, "--odps_data_quota_name")
    return flags


if __name__ == "__main__":
    cli.leave(main())
