"""List the tensors of a checkpoint.

    python -m tzrec.tools.list_distcp_param --checkpoint_path model/model.ckpt-1000

prints part, name and size of each. It reads checkpoints of this project and of TorchEasyRec.
"""

from __future__ import annotations

from collections.abc import Sequence

from tzrec import cli
from tzrec.errors import CheckpointError
from tzrec.storage.path import AnyPath, to_path


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return exit status 0; 1 if the directory is no checkpoint."""
    flags = cli.parser("tools.list_distcp_param", "List the tensors of a checkpoint: part, name and size.")
    flags.add_argument("--checkpoint_path", required=True, metavar="DIR", help="a checkpoint, or one part of it")
    args = flags.parse_args(argv)

    from tzrec.checkpoint.restore import stored_types  # imports torch, which takes seconds

    path = to_path(args.checkpoint_path)
    if not path.is_dir():
        raise CheckpointError(f"--checkpoint_path {path} is not a directory")
    entries: list[AnyPath] = [path]
    entries.extend(path.iterdir())
    parts = sorted((entry for entry in entries if (entry / ".metadata").is_file()), key=str)
    if not parts:
        raise CheckpointError(f"{path} is not a checkpoint: neither it nor a directory in it has a .metadata")
    for part in parts:
        for name, (size, dtype) in stored_types(part).items():
            print(f"{part.name}  {name}  {list(size)}  {str(dtype).removeprefix('torch.')}")
    return 0


if __name__ == "__main__":
    cli.leave(main())
