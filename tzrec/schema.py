"""`tzrec schema`: print the JSON Schema of configs, for editors."""

from __future__ import annotations

import json
from collections.abc import Sequence

from google.protobuf.descriptor import Descriptor

from tzrec import cli
from tzrec.config.json_schema import json_schema
from tzrec.config.roots import ROOTS
from tzrec.data.atomic import write_text


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Print the schema, or write it to a file."""
    flags = cli.parser("schema", "Print the schema of configs, for completion and validation in editors.")
    flags.add_argument("--format", choices=("json",), default="json", help="JSON Schema, for configs in JSON")
    names = [root.name for root in ROOTS]
    text = "message at the root of the config; default: EasyRecConfig"
    flags.add_argument("--message", choices=names, default=names[0], help=text)
    flags.add_argument("--output", metavar="FILE", help="file to write; default: standard output")
    args = flags.parse_args(argv)
    root: Descriptor = next(root for root in ROOTS if root.name == args.message)
    content = json.dumps(json_schema(root), indent=2, ensure_ascii=False)
    if not args.output:
        print(content)
        return 0
    write_text(args.output, f"{content}\n")
    print(f"wrote   {args.output}")
    return 0


if __name__ == "__main__":
    cli.leave(main())
