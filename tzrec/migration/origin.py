"""Origin: the tensors of a checkpoint of TorchEasyRec from which one tensor of a model is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Origin:
    """Tensors of a checkpoint from which one tensor of a model is made.

    Attributes:
        names: of the tensors.
        make: makes the tensor from them; None for one tensor that is taken as it is.
    """

    names: tuple[str, ...]
    make: Callable[..., Tensor] | None = None

    def below(self, path: str) -> Origin:
        """Return the origin with its names below a path."""
        return Origin(tuple(f"{path}.{name}" for name in self.names), self.make)


@dataclass(frozen=True)
class InSequence:
    """Name of an MLP that reads elements `(B, L, D)`: its batch norms stand between two transpositions there."""

    name: str


Origins = tuple[Origin, ...]
"""Alternatives, of which the first one whose tensors the checkpoint has is taken: versions name some differently."""

Names = Mapping[str, "str | InSequence | Origins"]
"""Child of a module, `a` or `a.b` -> its name, relative to that of the module, or the origins of a tensor."""
