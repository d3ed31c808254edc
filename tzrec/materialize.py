"""`tzrec materialize`: write a table into a feature store, from which a server completes requests."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.config.check import load_checked_message
from tzrec.config.names import did_you_mean
from tzrec.errors import UsageError
from tzrec.log import logger
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.retrieval.options import READERS


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0."""
    flags = cli.parser("materialize", "Write a table into a feature store, from which a server completes requests.")
    flags.add_argument("--serve_config", required=True, metavar="FILE", help="config of the server, with the store")
    flags.add_argument("--store", required=True, metavar="NAME", help="name of the store in feature_stores")
    flags.add_argument("--input_path", required=True, metavar="GLOB", help="comma list of globs: a row for each key")
    text = "format of the table; default: by the extension"
    flags.add_argument("--reader_type", choices=READERS, help=text)
    args = flags.parse_args(argv)
    config = load_checked_message(args.serve_config, ServeConfig())
    from tzrec.server.stores.build import build_stores
    from tzrec.server.stores.packed_store import PackedStore
    from tzrec.server.stores.write import write_table

    names = [store.name for store in config.feature_stores]
    if args.store not in names:
        raise UsageError(f'--store: {args.serve_config} has no store "{args.store}"{did_you_mean(args.store, names)}')
    (store,) = build_stores([config.feature_stores[names.index(args.store)]])
    if not isinstance(store, PackedStore):
        raise UsageError(f'--store: the server reads the files of "{args.store}" itself; there is nothing to write')
    num_rows = write_table(store, args.input_path, args.reader_type)
    store.close()
    logger.info("materialize  %d rows are in the store %s", num_rows, store.name)
    return 0


if __name__ == "__main__":
    cli.leave(main())
