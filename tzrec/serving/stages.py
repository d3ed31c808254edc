"""Progress of an export: a log line for each stage that has ended, and on a terminal a line that counts meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tzrec.live_line import live_line
from tzrec.log import logger


class Stages:
    """Stages of an export, one after the other.

    Args:
        prefix: in front of the names of the stages, as the part of a model.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = f"{prefix}: " if prefix else ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Run a block as a stage.

        Args:
            name: what it does, in the imperative: "trace the model".
        """
        start = time.perf_counter()
        with live_line.counting(f"export {self._prefix}{name}"):
            yield
        logger.info("export %s%s  %.1f s", self._prefix, name, time.perf_counter() - start)
