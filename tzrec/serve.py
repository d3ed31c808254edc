"""`tzrec serve`: answer requests with a package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tzrec import cli
from tzrec.errors import SetupError


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 once the server was told to stop."""
    flags = cli.parser("serve", "Answer requests over REST and gRPC with the packages of a directory.")
    text = "a package, or a directory of versions (numbers) of a model, or of several models"
    flags.add_argument("--model_path", required=True, metavar="DIR", help=text)
    flags.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all (default: %(default)s)"
    )
    flags.add_argument("--http_port", type=int, default=8000, help="port for REST (default: %(default)s)")
    flags.add_argument("--grpc_port", type=int, default=8001, help="port for gRPC (default: %(default)s)")
    args = flags.parse_args(argv)
    try:
        from tzrec.server.run import Server, ServerOptions  # imports torch, which takes seconds
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is missing; run: pip install 'tzrec[serve]'") from error
    Server(ServerOptions(Path(args.model_path), args.host, args.http_port, args.grpc_port)).run()
    return 0


if __name__ == "__main__":
    cli.leave(main())
