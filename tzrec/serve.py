"""`tzrec serve`: answer requests with a package."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from tzrec import cli
from tzrec.config.check import load_checked_message
from tzrec.errors import SetupError, UsageError
from tzrec.protos.serve_pb2 import ServeConfig

_FLAGS = ("model_path", "host", "http_port", "grpc_port")
"""Flags that are fields of the config, too, and are used before them."""


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 once the server was told to stop."""
    flags = cli.parser("serve", "Answer requests over REST and gRPC with the packages of a directory.")
    text = "config of the server, a file of its own: limits, TLS, logs, ...; see ServeConfig in the config reference"
    flags.add_argument("--serve_config", metavar="FILE", help=text)
    text = "a package, or a directory of versions (numbers) of a model, or of several models; required without a config"
    flags.add_argument("--model_path", metavar="DIR", help=text)
    default = ServeConfig()
    flags.add_argument("--host", help=f"address to listen on; 0.0.0.0 for all (default: {default.host})")
    port = cli.whole_number(0, 65535)
    flags.add_argument("--http_port", type=port, help=f"port for REST (default: {default.http_port})")
    flags.add_argument("--grpc_port", type=port, help=f"port for gRPC (default: {default.grpc_port})")
    args = flags.parse_args(argv)
    config = load_checked_message(args.serve_config, default) if args.serve_config else default
    for name in _FLAGS:
        if getattr(args, name) is not None:
            setattr(config, name, getattr(args, name))
    if not config.model_path:
        advice = f"set model_path in {args.serve_config}, or " if args.serve_config else ""
        raise UsageError(f"there is no package to serve; {advice}give --model_path DIR, the --export_dir of an export")
    try:
        from tzrec.server.run import Server  # imports torch, which takes seconds
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is missing; run: pip install 'tzrec[serve]'") from error
    server = Server(config)
    gc.collect()
    gc.freeze()  # all of torch: to collect among its objects stops scoring, on a busy machine for 0.9 s
    gc.collect()  # so that their number no longer decides when the next one is due
    server.run()
    return 0


if __name__ == "__main__":
    cli.leave(main())
