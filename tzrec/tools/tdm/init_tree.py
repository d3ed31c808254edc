"""Build a first tree of items by their categories, to train TDM on.

python -m tzrec.tools.tdm.init_tree --item_input_path 'data/items/*.parquet' --item_id_field item_id \\
    --cate_id_field cate_id --attr_fields cate_id,brand --raw_attr_fields price \\
    --node_edge_output_file data/init_tree --tree_output_dir data/init_tree
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec import cli
from tzrec.data.tree.codes import split_codes
from tzrec.data.tree.item_tree import ItemTree
from tzrec.log import logger
from tzrec.tools.tdm.items import Items, add_flags


def category_tree(categories: pa.ChunkedArray, ids: pa.ChunkedArray, n: int) -> ItemTree:
    """Build the tree of items sorted by category, as text, and by id: neighbors have near ancestors.

    Args:
        categories: of each item; null is the text "".
        ids: of each item.
        n: children of a node.
    """
    texts = pc.fill_null(categories.cast(pa.string()), "")
    order = pc.sort_indices(
        pa.table({"category": texts, "id": ids}), [("category", "ascending"), ("id", "ascending")]
    ).to_numpy()
    codes = np.empty(len(order), dtype=np.int64)
    codes[order] = split_codes(len(order), n)
    return ItemTree.from_codes(codes, n)


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Write the files of the tree."""
    flags = cli.parser("tools.tdm.init_tree", "Build a first tree of items by their categories, to train TDM on.")
    add_flags(flags)
    flags.add_argument("--cate_id_field", required=True, metavar="COLUMN", help="column of categories")
    args = flags.parse_args(argv)
    items = Items(args, args.cate_id_field)
    tree = category_tree(items.table.column(args.cate_id_field), items.table.column(args.item_id_field), args.n_cluster)
    nodes = items.write(tree)
    logger.info("tree   %s items, %s nodes, %d levels", f"{len(items):,}", f"{len(nodes):,}", tree.depth + 1)
    return 0


if __name__ == "__main__":
    cli.leave(main())
