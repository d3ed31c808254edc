"""Convert a text config of EasyRec, which is not needed for it.

    python -m tzrec.tools.convert_easyrec_config --easyrec_config_path old.config --output_tzrec_config_path new.config

Everything that has no counterpart, or is changed, is printed with file:line:column and its path, and written as
comments at the top of the new config.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tzrec import cli
from tzrec.config.check import check
from tzrec.config.load import HEADER, dump_config, load_source


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0; 2 for a config that cannot be read."""
    flags = cli.parser("tools.convert_easyrec_config", "Convert a text config of EasyRec.")
    flags.add_argument("--easyrec_config_path", required=True, metavar="FILE", help="config of EasyRec")
    flags.add_argument(
        "--output_tzrec_config_path", "--output_config", required=True, metavar="FILE", help="config to write"
    )
    flags.add_argument(
        "--fg_json_path", "--fg_json", default="", metavar="FILE", help="fg.json with the inputs of the features"
    )
    flags.switch("--use_old_fg", "define features by the config; take only inputs and sequences from fg.json")
    flags.reject("EasyRec is not needed", "--easyrec_package_path")
    args = flags.parse_args(argv)

    from tzrec.migration.easyrec.convert import convert_easyrec_config

    conversion = convert_easyrec_config(args.easyrec_config_path, args.fg_json_path, args.use_old_fg)
    lines = [str(problem) for problem in conversion.problems]
    comments = "".join(f"# {line}\n" for line in lines)
    header = f"# converted from {args.easyrec_config_path}\n" + ("# not carried over, or changed:\n" if lines else "")
    output = Path(args.output_tzrec_config_path)
    output.parent.mkdir(parents=True, exist_ok=True)
    text = dump_config(conversion.config).removeprefix(HEADER)  # the lines for editors come before all comments
    output.write_text(f"{HEADER}{header}{comments}\n{text}", encoding="utf-8")
    problems = check(load_source(str(output)))
    print("\n".join([*lines, *(f"to do  {problem}" for problem in problems), f"wrote  {output}"]))
    return 0


if __name__ == "__main__":
    cli.leave(main())
