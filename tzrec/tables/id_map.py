"""IdMap: from raw ids to rows of a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor


class IdMap(ABC):
    """Map from raw ids to the rows of the table that owns it.

    `IdentityMap` is the only kind so far: features encode their values into rows. Maps with rows on demand, e.g. zero
    collision hashing, implement `lookup`, and grow or shrink between steps through `admit` and `evict`.
    """

    is_identity = False
    """True if raw ids are rows; lookups then skip the map."""

    @abstractmethod
    def lookup(self, ids: Tensor) -> Tensor:
        """Map raw ids to rows, int64 `(N,) -> (N,)`."""

    @abstractmethod
    def admit(self, ids: Tensor) -> None:
        """Assign rows to raw ids `(N,)` that have none."""

    @abstractmethod
    def evict(self, ids: Tensor) -> None:
        """Release the rows of raw ids `(N,)`."""

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """State for a checkpoint, by name."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state of `state_dict`."""


class IdentityMap(IdMap):
    """Map of a table whose raw ids are its rows."""

    is_identity = True

    def lookup(self, ids: Tensor) -> Tensor:
        return ids

    def admit(self, ids: Tensor) -> None:
        """Do nothing: every id has a row."""

    def evict(self, ids: Tensor) -> None:
        """Do nothing: every id keeps its row."""

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Do nothing: there is no state."""


IDENTITY = IdentityMap()


def map_ids(ids: KeyedJaggedTensor, id_maps: Mapping[str, IdMap]) -> KeyedJaggedTensor:
    """Map the raw ids of some features to rows.

    Args:
        ids: of all features.
        id_maps: by feature; features without a map keep their ids.
    """
    values = ids.values().split(ids.length_per_key())
    rows = [id_maps[key].lookup(part) if key in id_maps else part for key, part in zip(ids.keys(), values, strict=True)]
    return KeyedJaggedTensor(ids.keys(), torch.cat(rows), weights=ids.weights_or_none(), lengths=ids.lengths())
