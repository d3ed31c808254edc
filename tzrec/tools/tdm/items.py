"""Items of a tree: their table, and the flags that the tools which build trees share."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tzrec import cli
from tzrec.config.comma_list import split_commas
from tzrec.data.reader import Reader, open_reader
from tzrec.data.text_schema import infer_type, valid_text
from tzrec.data.tree.attributes import TREE_LEVEL, node_table
from tzrec.data.tree.files import write_serving_tree, write_tables
from tzrec.data.tree.item_tree import ItemTree
from tzrec.errors import DataError, UsageError
from tzrec.profile.data_format import set_data_format
from tzrec.protos.data_pb2 import DataConfig

_ODPS = "MaxCompute is not supported; the tables are written as files"


def add_flags(flags: cli.Flags) -> None:
    """Add the flags for items, attributes and files."""
    text = "comma list of globs of the items: Parquet, CSV, ORC or Arrow files, one row per item"
    flags.add_argument("--item_input_path", required=True, metavar="GLOB", help=text)
    flags.add_argument("--item_id_field", required=True, metavar="COLUMN", help="column of ids, integers or strings")
    text = "columns of attributes of which an inner node has the most frequent value below it"
    flags.add_argument("--attr_fields", default="", metavar="COLUMN,...", help=text)
    text = "columns of numbers of which an inner node has the mean below it"
    flags.add_argument("--raw_attr_fields", default="", metavar="COLUMN,...", help=text)
    flags.add_argument("--attr_delimiter", default=",", metavar="TEXT", help="between attributes of a node; default ,")
    text = "directory of node_table.txt, edge_table.txt, predict_edge_table.txt and node_feature/"
    flags.add_argument("--node_edge_output_file", metavar="DIR", help=text)
    flags.add_argument("--tree_output_dir", metavar="DIR", help="directory of serving_tree, the tree of a server")
    text = "children of a node; default 2"
    flags.add_argument("--n_cluster", type=cli.whole_number(2, 1 << 16), default=2, metavar="N", help=text)
    flags.reject(_ODPS, "--odps_data_quota_name")


class Items:
    """Items of a tree in the order of the files.

    Args:
        args: the flags of `add_flags`.
        further: other columns to read.

    Attributes:
        table: one row per item.

    Raises:
        UsageError: no directory to write to.
        DataError: the files cannot be read, or hold no rows.
    """

    def __init__(self, args: Namespace, *further: str) -> None:
        if not (args.node_edge_output_file or args.tree_output_dir):
            raise UsageError(
                "pass --node_edge_output_file for tables to train on, --tree_output_dir for a server's tree"
            )
        self._args, self._id = args, args.item_id_field
        given = {self._id, TREE_LEVEL}
        self._raw = [name for name in dict.fromkeys(split_commas(args.raw_attr_fields)) if name not in given]
        names = [*split_commas(args.attr_fields)]
        self._attributes = [name for name in dict.fromkeys(names) if name not in {*given, *self._raw}]
        self.table = read_table(args.item_input_path, [self._id, *self._attributes, *self._raw, *further])
        ids = self.table.column(self._id)
        if pa.types.is_integer(ids.type):
            ids = ids.cast(pa.int64())
        elif not pa.types.is_string(ids.type):
            try:
                ids = ids.cast(pa.string())
            except pa.ArrowException:
                raise DataError(f'--item_id_field "{self._id}" is {ids.type}; ids are integers or strings') from None
        self.table = self.table.set_column(self.table.column_names.index(self._id), self._id, ids)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def write(self, tree: ItemTree) -> pa.Table:
        """Write the files of their tree; returns the table of its nodes."""
        nodes = node_table(tree, self.table, self._id, self._attributes, self._raw)
        if self._args.node_edge_output_file:
            directory = Path(self._args.node_edge_output_file)
            write_tables(directory, tree, nodes, self._id, self._raw, self._args.attr_delimiter)
        if self._args.tree_output_dir:
            write_serving_tree(Path(self._args.tree_output_dir), tree, nodes.column(self._id).combine_chunks())
        return nodes


def read_table(path: str, columns: Sequence[str]) -> pa.Table:
    """Read columns of files of any format as one table; the types of text columns are inferred from all of their cells.

    Args:
        path: comma list of globs.
        columns: to read, in order; a name that is listed twice is read once.

    Raises:
        DataError: no file, an unreadable one, a missing column, or no rows.
    """
    config = DataConfig()
    set_data_format(config, path, columns)
    reader = open_reader(config, path, columns)
    table = pa.Table.from_batches(_pieces(reader), reader.schema)
    if table.num_rows == 0:
        raise DataError(f"{path}: no rows")
    if reader.is_text:
        table = pa.table({name: _typed(column) for name, column in zip(table.column_names, table.columns)})
    return table


def _pieces(reader: Reader) -> Iterator[pa.RecordBatch]:
    for piece in reader.read():
        yield piece.batch


def _typed(column: pa.ChunkedArray) -> pa.Array:
    cells, *_ = valid_text(pa.concat_arrays(column.chunks))
    cells = pc.if_else(pc.equal(cells, ""), None, cells)
    return cells.cast(infer_type(cells.drop_null()))
