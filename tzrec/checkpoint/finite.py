"""Check of the stored values of a checkpoint, for those that were written without one."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tzrec.checkpoint.restore import restore, stored_types
from tzrec.errors import CheckpointError
from tzrec.storage.path import AnyPath


def ensure_finite_values(path: AnyPath) -> None:
    """Read all tensors of a checkpoint, one at a time, and check that their values are finite.

    Raises:
        CheckpointError: names the tensors with other values, or the checkpoint cannot be read.
    """
    names = list(_nonfinite_names(path))
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise CheckpointError(
            f"{path} holds values that are not finite, in {names[0]}{more}: it cannot be trained further"
        )


def is_finite(tensor: torch.Tensor) -> bool:
    """True if all values are finite. A sum, which is finite only if its terms are, takes a twentieth of the time."""
    if not tensor.is_floating_point():
        return True
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


def _nonfinite_names(path: AnyPath) -> Iterator[str]:
    for part in sorted((part for part in path.iterdir() if (part / ".metadata").exists()), key=str):
        for name, (size, dtype) in stored_types(part).items():
            if dtype.is_floating_point:
                tensor = torch.zeros(size, dtype=dtype)
                restore(part, {name: tensor})
                if not is_finite(tensor):
                    yield f"{part.name}/{name}"
