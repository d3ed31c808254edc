"""CopyMemory: copies of the tensors of a save in main memory, where training no longer changes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor, from_numpy

from tzrec import env


class CopyMemory:
    """Memory of copies, used again by the next save where memory is plenty.

    New memory costs several times as much as copying, since the system clears each page when it is first written.
    """

    def __init__(self) -> None:
        self._blocks: list[npt.NDArray[np.uint8]] = []

    def copy(self, tensors: Sequence[Tensor]) -> list[Tensor] | None:
        """Copy tensors of any device; None if new memory would take more than half of what is available.

        The copies of the call before it must no longer be in use.
        """
        sizes = [tensor.nbytes for tensor in tensors]
        available = env.available_memory()
        if sizes != [block.nbytes for block in self._blocks]:
            self._blocks = []
            if sum(sizes) >= available / 2:
                return None
            try:
                self._blocks = [np.empty(size, np.uint8) for size in sizes]  # numpy requests huge pages
            except MemoryError:  # a limit of this process, of which the system does not tell
                return None
        copies = [_copy_into(block, tensor.detach()) for block, tensor in zip(self._blocks, tensors, strict=True)]
        if sum(sizes) >= available / 4:
            self._blocks = []
        return copies


def _copy_into(block: npt.NDArray[np.uint8], tensor: Tensor) -> Tensor:
    """Copy a tensor into memory of its size."""
    if not tensor.numel():
        return tensor
    return from_numpy(block).view(tensor.dtype).view(tensor.shape).copy_(tensor)
