"""train_config.fine_tune_ckpt_param_map: names of parameters that have changed since a checkpoint was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tzrec.errors import CheckpointError


def read_map(path: Path) -> dict[str, str]:
    """Read a file of `current_name old_name` lines; empty lines and lines that begin with # do not count.

    Raises:
        CheckpointError: the file does not exist, or a line is not two names.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise CheckpointError(f"train_config.fine_tune_ckpt_param_map: {error}") from None
    names = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2:
            raise CheckpointError(f'{path}:{number}: expected "current_name old_name"; received "{line.strip()}"')
        names[words[0]] = words[1]
    return names


def rename(names: Iterable[str], changed: Mapping[str, str]) -> dict[str, str]:
    """Name here -> name in the checkpoint, for changed parameters and for their state, `<parameter>.<state>`."""
    found = {}
    for name in names:
        owner = max((each for each in changed if name == each or name.startswith(f"{each}.")), key=len, default=None)
        if owner is not None:
            found[name] = changed[owner] + name[len(owner) :]
    return found
