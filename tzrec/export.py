"""`tzrec export`: turn a checkpoint into a package for serving."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tzrec import cli, env
from tzrec.config.check import load_checked
from tzrec.formatting import format_bytes
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 where nothing was published."""
    flags = cli.parser("export", "Turn a checkpoint into a package for serving. Needs no data, but a C++ compiler.")
    flags.config()
    flags.add_argument("--checkpoint_path", help="checkpoint or model directory; default: as export_config says")
    flags.add_argument("--export_dir", required=True, metavar="DIR", help="where the package goes; new or empty")
    flags.add_argument("--asset_files", default="", metavar="FILE,FILE", help="further files to put into the package")
    more = "what the manifest hands through to whoever serves the package"
    flags.add_argument("--additional_export_config", type=cli.json_object, default={}, metavar="JSON", help=more)
    flags.add_argument(
        "--item_input_path", metavar="PATH", help="accepted and not read: no model needs data to be exported"
    )
    flags.edits()
    args = flags.parse_args(argv)
    if not env.rank_info().is_main:  # one process is enough, whoever started several
        return 0
    config = load_checked(args.pipeline_config, args.edit_config_json)
    if args.item_input_path:
        logger.info("data   --item_input_path is not read: no model needs data to be exported")
    _export(config, args.checkpoint_path, Path(args.export_dir), args.asset_files, args.additional_export_config)
    return 0


def _export(
    config: EasyRecConfig, checkpoint_path: str | None, directory: Path, assets: str, additional: dict[str, Any]
) -> None:
    from tzrec.features.feature_encoder import FeatureEncoder  # torch and torchrec take seconds to import
    from tzrec.run import cpu
    from tzrec.serving.compile import require_compiler
    from tzrec.serving.publish import publish, refuse_occupied
    from tzrec.serving.trained import choose, load_trained

    began = time.perf_counter()
    refuse_occupied(directory)
    require_compiler()
    cpu.configure_cpu(config.train_config)
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    checkpoint = choose(config, checkpoint_path)
    logger.info("model  %s", checkpoint.path)
    trained = load_trained(config, encoder.features, checkpoint)
    manifest = publish(trained, directory, tuple(Path(name) for name in assets.split(",") if name), additional)
    size = sum(file.size for file in manifest.files.values())
    logger.info("export %s  %s in %.0f s", directory, format_bytes(size), time.perf_counter() - began)
    logger.info("self-test: max |package - checkpoint| = %.1e", manifest.self_test)


if __name__ == "__main__":
    cli.leave(main())
