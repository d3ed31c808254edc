"""ProfileWriter: the listener that writes `profile.json` into the model directory."""

from __future__ import annotations

import threading

from tzrec.checkpoint.saver import SaveResult
from tzrec.checkpoint.store import PROFILE
from tzrec.data.atomic import write_text
from tzrec.log import side_output
from tzrec.profile.training_profile import BatchSampler, BatchSamples
from tzrec.run.listeners import Listener
from tzrec.storage.path import AnyPath


class ProfileWriter(Listener):
    """Writes the distribution of the features in training with each checkpoint, in a thread.

    Args:
        model_dir: directory of the run.
        sampler: samples the batches of the run.
    """

    def __init__(self, model_dir: AnyPath, sampler: BatchSampler) -> None:
        self._path, self._sampler = model_dir / PROFILE, sampler
        self._thread: threading.Thread | None = None

    def on_save(self, saved: SaveResult) -> None:
        self.on_end()
        samples = self._sampler.samples
        if samples.batches:
            self._thread = threading.Thread(target=self._write, args=(samples,), name="profile")
            self._thread.start()

    def on_end(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _write(self, samples: BatchSamples) -> None:
        with side_output(self._path):
            write_text(self._path, samples.profile().to_text())
