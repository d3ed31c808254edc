"""Checks that losses and the state of a run are finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from tzrec.checkpoint.finite import is_finite
from tzrec.checkpoint.saver import Tensors
from tzrec.distributed import group
from tzrec.errors import TrainingError
from tzrec.torchrec_adapter import local_shards

_MAX_NAMED = 3


def are_finite(losses: Iterable[torch.Tensor]) -> bool:
    """True if all losses, 0-dimensional, are finite."""
    return bool(torch.isfinite(torch.stack([loss.detach() for loss in losses])).all())


def ensure_finite(parts: Mapping[str, Tensors]) -> None:
    """Check the state of all ranks before it is saved. All ranks call this together.

    Args:
        parts: tensors by directory of the checkpoint.

    Raises:
        TrainingError: names the tensors with values that are not finite.
    """
    names = [f"{part}/{name}" for part, tensors in parts.items() for name in nonfinite_names(tensors)]
    all_names = list(dict.fromkeys(name for rank in group.gather(names) for name in rank))
    if all_names:
        more = f" and {len(all_names) - _MAX_NAMED} more" if len(all_names) > _MAX_NAMED else ""
        raise TrainingError(
            f"values of {', '.join(all_names[:_MAX_NAMED])}{more} are not finite, so no checkpoint is saved and the "
            "last one stays as it is. Lower the learning rates, clip gradients, or look for extreme values in the data"
        )


def nonfinite_names(tensors: Tensors) -> list[str]:
    """List the tensors with a value that is not finite in a shard of this rank."""
    return [name for name, tensor in tensors.items() if not all(map(is_finite, local_shards(tensor)))]
