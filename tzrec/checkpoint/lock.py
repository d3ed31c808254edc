"""Lock that gives a directory a single writer."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from tzrec.errors import CheckpointError

NAME = ".lock"


class LockHeldError(CheckpointError):
    """Another process holds the lock of a directory."""


class Lock:
    """Lock of a directory, held from construction to `release`; the kernel releases it when the process ends.

    Raises:
        LockHeldError: another process writes to the directory.
        CheckpointError: this process cannot.
    """

    def __init__(self, directory: Path, flag: str = "--model_dir") -> None:
        """
        Args:
            directory: created if it does not exist.
            flag: command line flag that names the directory.
        """
        path = directory / NAME
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise CheckpointError(
                f"{flag} {directory} cannot be written: {error.strerror}: {error.filename}; choose a directory in "
                "which files can be created"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 200).decode(errors="replace").strip() or "another process"
            os.close(self._descriptor)
            raise LockHeldError(
                f"{directory} is being written by {holder}; wait for it or stop it, or choose another {flag}"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def ensure_held(self) -> None:
        """Do nothing: the kernel takes a lock from nobody."""

    def release(self) -> None:
        os.close(self._descriptor)
