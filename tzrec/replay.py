"""`tzrec replay`: score logged requests again, and compare the scores."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli, env
from tzrec.storage.path import to_path


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0."""
    flags = cli.parser("replay", "Score the requests of a server's log again with a package, and compare the scores.")
    flags.add_argument("log", metavar="LOG", help="request_log.directory of the server's config, or one of its files")
    flags.add_argument("--model_path", required=True, metavar="DIR", help="package that scores the requests")
    text = "model of the server whose requests are replayed; default: the only one of the log"
    flags.add_argument("--model_name", default="", metavar="NAME", help=text)
    args = flags.parse_args(argv)
    env.set_openmp_spin()
    from tzrec.run.replay import replay  # imports torch, which takes seconds
    from tzrec.serving.predictor import load
    from tzrec.serving.request_log import log_files, read_requests

    requests = read_requests(log_files(to_path(args.log)))
    print(replay(requests, load(args.model_path), args.model_name).as_text())
    return 0


if __name__ == "__main__":
    cli.leave(main())
