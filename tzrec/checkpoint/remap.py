"""Renamed parameters: train_config.fine_tune_ckpt_param_map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tzrec.errors import CheckpointError
from tzrec.storage.path import AnyPath


def read_map(path: AnyPath) -> dict[str, str]:
    """Read a file of `current_name old_name` lines; empty lines and lines that begin with # are skipped.

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


def stored_names(names: Iterable[str], old_name_by_name: Mapping[str, str]) -> dict[str, str]:
    """Map renamed parameters, and their state `<parameter>.<state>`, to their names in the checkpoint."""
    stored_name_by_name = {}
    for name in names:
        owners = [owner for owner in old_name_by_name if name == owner or name.startswith(f"{owner}.")]
        if owners:
            owner = max(owners, key=len)
            stored_name_by_name[name] = old_name_by_name[owner] + name[len(owner) :]
    return stored_name_by_name
