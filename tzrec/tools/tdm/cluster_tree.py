"""Build the tree of items by the embeddings of a trained model, to train TDM on again.

python -m tzrec.tools.tdm.cluster_tree --item_input_path 'data/embeddings/*.parquet' --item_id_field item_id \\
    --embedding_field item_emb --attr_fields cate_id,brand --raw_attr_fields price \\
    --node_edge_output_file data/learnt_tree --tree_output_dir data/learnt_tree
"""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.log import logger
from tzrec.retrieval.vectors import to_vectors
from tzrec.tools.tdm.clustering import cluster
from tzrec.tools.tdm.items import Items, add_flags


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Write the files of the tree."""
    flags = cli.parser("tools.tdm.cluster_tree", "Build the tree of items by the embeddings of a trained model.")
    add_flags(flags)
    text = "column of embeddings: lists of numbers, or text with commas"
    flags.add_argument("--embedding_field", required=True, metavar="COLUMN", help=text)
    text = "processes that cluster parts of the tree; default 16"
    flags.add_argument("--parallel", type=cli.whole_number(1, 1024), default=16, metavar="N", help=text)
    args = flags.parse_args(argv)
    items = Items(args, args.embedding_field)
    vectors = to_vectors(items.table.column(args.embedding_field), args.embedding_field)
    tree = cluster(vectors, args.n_cluster, args.parallel)
    nodes = items.write(tree)
    logger.info("tree   %s items, %s nodes, %d levels", f"{len(items):,}", f"{len(nodes):,}", tree.depth + 1)
    return 0


if __name__ == "__main__":
    cli.leave(main())
