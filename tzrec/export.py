"""`tzrec export`: compile a checkpoint into a package for serving."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tzrec import cli, env
from tzrec.config.check import load_checked
from tzrec.config.comma_list import split_commas
from tzrec.live_line import live_line
from tzrec.log import logger
from tzrec.storage.path import to_directory


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return 0; 1 if nothing was published."""
    flags = cli.parser("export", "Compile a checkpoint into a package for serving. Needs a C++ compiler.")
    flags.config()
    flags.add_argument("--checkpoint_path", help="checkpoint or model directory; default: selected by export_config")
    flags.add_argument("--export_dir", required=True, metavar="DIR", help="directory of the package; new or empty")
    flags.add_argument("--asset_files", default="", metavar="FILE,FILE", help="further files to copy into the package")
    text = "values to store in the manifest for the servers of the package"
    flags.add_argument("--additional_export_config", type=cli.json_object, default={}, metavar="JSON", help=text)
    text = "rows for the self-test and the sample request; default: the training data if it is there"
    flags.add_argument("--sample_input_path", default="", metavar="PATH", help=text)
    flags.add_argument("--item_input_path", metavar="PATH", help="accepted, but not read: no model needs it")
    flags.edits()
    args = flags.parse_args(argv)
    if not env.rank_info().is_main:  # one process is enough
        return 0
    export_dir = to_directory("--export_dir", args.export_dir)
    config = load_checked(args.pipeline_config, args.edit_config_json)
    if args.item_input_path:
        logger.info("data   --item_input_path is not read: no model needs data to be exported")
    with live_line.counting("start  import torch"):
        from tzrec.run.export import export  # imports torch, which takes seconds

    assets = [Path(name) for name in split_commas(args.asset_files)]
    sample_path = args.sample_input_path
    export(config, export_dir, args.checkpoint_path, assets, args.additional_export_config, sample_path)
    return 0


if __name__ == "__main__":
    cli.leave(main())
