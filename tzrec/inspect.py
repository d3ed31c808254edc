"""`tzrec inspect`: print what a package holds."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.serving.description import describe_package
from tzrec.storage.path import to_path


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Print the description; return 0, or 1 if there is no package or it is damaged."""
    text = (
        "Print the inputs, outputs, features, sizes and versions of a package, and compare its files with its manifest."
    )
    flags = cli.parser("inspect", text)
    flags.add_argument("package", metavar="PACKAGE", nargs="?", help="directory or URL of a package, or of several")
    flags.add_argument("--model_path", metavar="PACKAGE", help="the same, by the flag of other commands")
    args = flags.parse_args(argv)
    if (args.package is None) == (args.model_path is None):
        flags.error("name one package: tzrec inspect PACKAGE")
    print(describe_package(to_path(args.package if args.model_path is None else args.model_path)))
    return 0


if __name__ == "__main__":
    cli.leave(main())
