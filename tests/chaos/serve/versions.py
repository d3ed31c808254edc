"""Versions of a model that are published one after the other, while the one before answers."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.chaos.serve.malformed import MODEL
from tzrec.checkpoint.manifest import FileRecord
from tzrec.serving.package import WEIGHTS
from tzrec.serving.package_manifest import PackageManifest
from tzrec.serving.weights import map_weights, write_weights

_NUM_KEPT = 3
_LIMIT_S = 120


def make_variants(package: Path, folder: Path) -> list[Path]:
    """Make a package, and one with other weights and so with other scores; version N is of variant N % 2."""
    variants = [folder / "variant-0", folder / "variant-1"]
    for path in variants:
        shutil.copytree(package, path)
    tensors = map_weights(package / WEIGHTS).tensors
    changed = {
        name: (tensor + 0.3 if tensor.is_floating_point() and tensor.ndim == 1 else tensor)
        for name, tensor in tensors.items()
    }
    write_weights(variants[1] / WEIGHTS, changed)
    manifest = PackageManifest.read(package)
    files = {**manifest.files, WEIGHTS: FileRecord.of(variants[1] / WEIGHTS)}
    dataclasses.replace(manifest, files=files).write(variants[1])
    return variants


class Switcher(threading.Thread):
    """Thread that publishes versions, the next one once the one before answers, until it is stopped.

    Args:
        variants: packages that take turns.
        root: of the server.
        newest: returns the newest version that answers.
        interval_s: time between two versions.
        limit: number of switches, after which it ends.

    Attributes:
        num_switches: versions that have answered, after the first one.
        loading: start and end of each time in which a version was loaded, as of `time.monotonic`.
        error: what ended the thread too early.
    """

    def __init__(
        self, variants: Sequence[Path], root: Path, newest: Callable[[], int], interval_s: float, limit: int
    ) -> None:
        super().__init__(daemon=True)
        self._limit = limit
        self._variants, self._root, self._newest, self._interval_s = variants, root, newest, interval_s
        self._stopped = threading.Event()
        self.num_switches = 0
        self.loading: list[tuple[float, float]] = []
        self.error: Exception | None = None

    def publish(self, version: int) -> None:
        """Publish a version as an export does: with a rename."""
        folder = self._root / MODEL
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self._variants[version % len(self._variants)], folder / "draft", copy_function=os.link)
        (folder / "draft").rename(folder / str(version))
        shutil.rmtree(folder / str(version - _NUM_KEPT), ignore_errors=True)

    def stop(self) -> None:
        """End the thread once the last version answers."""
        self._stopped.set()
        self.join(_LIMIT_S)

    def run(self) -> None:
        version = 1
        try:
            while self.num_switches < self._limit and not self._stopped.wait(self._interval_s):
                version += 1
                start = time.monotonic()
                self.publish(version)
                while self._newest() < version:
                    assert time.monotonic() < start + _LIMIT_S, f"version {version} does not answer"
                    time.sleep(0.02)
                self.loading.append((start, time.monotonic()))
                self.num_switches += 1
        except Exception as error:
            self.error = error
