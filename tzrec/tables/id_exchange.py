"""IdExchange: exchange of the ids of a batch between ranks, ahead of their lookup, in the phases of torchrec."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torchrec import KeyedJaggedTensor
from torchrec.distributed.embedding import ShardedEmbeddingCollection
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection
from torchrec.distributed.types import LazyAwaitable, ShardedModule
from torchrec.streamable import Multistreamable


class IdExchange(Multistreamable):
    """Exchange of the ids of one batch; it stands for the ids in the call of the collection that looks them up.

    Creating it sends the numbers of ids to the other ranks. All ranks create exchanges and call `send`, `receive` and
    the collection in the same order. On CUDA the first three belong to a stream of their own.

    Args:
        collection: looks the ids up.
        ids: of the rows of this rank.
    """

    def __init__(self, collection: ShardedModule[Any, Any, Any, Any], ids: KeyedJaggedTensor) -> None:
        self._collection, self._context = collection, collection.create_context()
        self._numbers = collection.input_dist(self._context, ids)

    def send(self) -> None:
        """Wait for the numbers of ids of the other ranks, and send the ids."""
        self._ids = self._numbers.wait()

    def receive(self) -> None:
        """Wait for the ids that this rank looks up."""
        self._received = self._ids.wait()

    def look_up(self) -> LazyAwaitable[Any]:
        """Look the ids up, and start the exchange of their vectors."""
        return self._collection.compute_and_output_dist(self._context, self._received)

    def record_stream(self, stream: torch.Stream) -> None:
        """Keep the memory of the received ids until a stream has used them."""
        self._received.record_stream(stream)
        self._context.record_stream(stream)


LookupInput: TypeAlias = KeyedJaggedTensor | IdExchange
"""Input of a collection."""


class ExchangedBags(ShardedEmbeddingBagCollection):
    """Sharded bag collection whose ids may have been exchanged ahead."""

    def forward(self, features: LookupInput) -> LazyAwaitable[Any]:  # type: ignore[override]
        return features.look_up() if isinstance(features, IdExchange) else super().forward(features)


class ExchangedSequences(ShardedEmbeddingCollection):
    """Sharded sequence collection whose ids may have been exchanged ahead."""

    def forward(self, features: LookupInput) -> LazyAwaitable[Any]:  # type: ignore[override]
        return features.look_up() if isinstance(features, IdExchange) else super().forward(features)


EXCHANGED = (ExchangedBags, ExchangedSequences)
"""Classes of collections that exchange ids."""
