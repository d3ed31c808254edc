"""Import the weights of a checkpoint of TorchEasyRec.

    python -m tzrec.tools.import_checkpoint --pipeline_config my.config --checkpoint_path old/model.ckpt-1000 \\
        --model_dir new

writes `new/model.ckpt-0`, which `tzrec eval`, `export` and `predict` read and from which
`tzrec train --fine_tune_checkpoint` starts. It prints each tensor that was not loaded, or not used.
"""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.config.check import load_checked


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0; 2 for an invalid config; 1 if the checkpoint does not match it."""
    flags = cli.parser("tools.import_checkpoint", "Import the weights of a checkpoint of TorchEasyRec.")
    flags.config(help="config of the model, as TorchEasyRec wrote it into its model_dir")
    flags.add_argument(
        "--checkpoint_path", "--checkpoint", required=True, metavar="DIR", help="model.ckpt-<step> of TorchEasyRec"
    )
    flags.add_argument(
        "--model_dir", metavar="DIR", help="where to write model.ckpt-0; replaces model_dir of the config"
    )
    flags.switch("--partial", "write a checkpoint although tensors are missing; they have their initial values")
    flags.edits()
    args = flags.parse_args(argv)
    config = load_checked(args.pipeline_config, cli.merge_edits(args, {"model_dir": args.model_dir}))

    from tzrec.migration.import_checkpoint import import_checkpoint  # imports torch, which takes seconds

    result, path = import_checkpoint(config, args.checkpoint_path, args.partial)
    print("\n".join([*result.lines(), f"wrote       {path}"]))
    return 0


if __name__ == "__main__":
    cli.leave(main())
