"""`tzrec format`: write configs in their canonical layout."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from tzrec import cli
from tzrec.config.canonical import format_text
from tzrec.config.json_text import read_json
from tzrec.config.load import read_config_text
from tzrec.config.syntax import TextSyntaxError
from tzrec.data.atomic import write_text
from tzrec.errors import ConfigError, Problem

STDIN = "-"


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Write the files that are not in the canonical layout, or print the standard input in it."""
    flags = cli.parser("format", "Write configs in their canonical layout; comments are kept, and the meaning too.")
    text = "configs to write in place, or - for standard input to standard output"
    flags.add_argument("files", nargs="+", metavar="FILE", help=text)
    flags.add_argument("--check", action="store_true", help="write nothing; name the files that would change")
    args = flags.parse_args(argv)
    if STDIN in args.files and (len(args.files) > 1 or args.check):
        flags.error(f'"{STDIN}" goes with no other file and not with --check')
    if args.files == [STDIN]:
        sys.stdout.write(_formatted(sys.stdin.read(), "<stdin>"))
        return 0
    texts = {path: read_config_text(path) for path in args.files}
    changed = {path: new for path, text in texts.items() if (new := _formatted(text, path)) != text}
    for path, new in changed.items():
        if not args.check:
            write_text(path, new)
        print(f"{'would change' if args.check else 'wrote'}   {path}")
    same = len(texts) - len(changed)
    if same:
        print(f"{same} file{'s are' if same > 1 else ' is'} in the canonical layout")
    return 1 if args.check and changed else 0


def _formatted(text: str, path: str) -> str:
    """Return the canonical text of a config.

    Raises:
        ConfigError: It has a syntax error.
    """
    try:
        if path.endswith(".json"):
            return f"{json.dumps(read_json(text), indent=2, ensure_ascii=False)}\n"
        return format_text(text)
    except TextSyntaxError as error:
        raise ConfigError([Problem("", str(error), f"{path}:{error.line}:{error.column}")]) from error
    except json.JSONDecodeError as error:
        raise ConfigError([Problem("", error.msg, f"{path}:{error.lineno}:{error.colno}")]) from error
    except ValueError as error:
        raise ConfigError([Problem("", f"is not JSON: {error}", path)]) from error


if __name__ == "__main__":
    cli.leave(main())
