"""Streams: side streams of a GPU on which batches are copied and their ids exchanged; on the CPU there are none."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from tzrec.data.batch import Batch


class Streams:
    """Streams of a device.

    Memory that one stream allocates and another one reads is kept until the latter has read it (`record_stream`).

    Args:
        device: of the training.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copy = self._make_stream()
        self._exchange = self._make_stream()

    def _make_stream(self) -> torch.cuda.Stream | None:
        # with priority: its kernels are small, and the training waits for them
        return torch.cuda.Stream(self._device, priority=-1) if self._device.type == "cuda" else None

    def copying(self) -> AbstractContextManager[object]:
        """Return a context manager in which work goes to the stream that copies batches."""
        return _on(self._copy)

    def exchanging(self) -> AbstractContextManager[object]:
        """Return a context manager in which work goes to the stream that exchanges ids."""
        return _on(self._exchange)

    def to_device(self, batch: Batch) -> Batch:
        """Start to copy a batch; `copying` chooses the stream."""
        return batch if self._device.type == "cpu" else batch.to(self._device, non_blocking=True)

    def take_copied(self, batch: Batch) -> None:
        """Let the current stream wait for a batch that was copied."""
        self._take(batch, self._copy)

    def take_exchanged(self, batch: Batch) -> None:
        """Let the current stream wait for a batch whose ids were exchanged."""
        self._take(batch, self._exchange)

    def _take(self, batch: Batch, source: torch.cuda.Stream | None) -> None:
        if source is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_stream(source)
            batch.record_stream(current)


def _on(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)  # type: ignore[no-untyped-call]
