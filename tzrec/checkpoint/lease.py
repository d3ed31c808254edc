"""Lease: the lock of a directory in a store, which knows nothing of processes and whether they have ended.

The holder is the process that created the file `.lock-<n>` with the largest n, which only one process can do. It
writes the file again every few seconds. A file that has not changed for a minute belongs to a process that has ended,
and the next process creates `.lock-<n+1>`. The clocks of machines are not compared. A process that was taken for dead,
and was not, finds the newer file and saves no more.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from tzrec.checkpoint.lock import Lock
from tzrec.errors import CheckpointError, StoreError
from tzrec.log import logger
from tzrec.storage.path import AnyPath, StorePath

RENEW_S = 10.0
"""Seconds between two renewals."""
EXPIRY_S = 60.0
"""Seconds without a renewal after which the holder counts as ended."""
_NAME = re.compile(r"\.lock-(\d{1,9})")
_POLL_S = 1.0


class Lease:
    """Lock of a directory in a store, held from construction to `release`.

    Raises:
        CheckpointError: another process writes to the directory.
        StoreError: the directory cannot be written.
    """

    def __init__(self, directory: StorePath, flag: str = "--model_dir") -> None:
        """
        Args:
            directory: of the store.
            flag: command line flag that names the directory.
        """
        self._directory, self._flag = directory, flag
        self._content: dict[str, Any] = {
            "holder": f"process {os.getpid()} on {socket.gethostname()}",
            "process": _process(os.getpid()),
            "token": uuid.uuid4().hex,
            "renewals": 0,
        }
        self._number = self._acquire()
        self._is_released = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the directory to the next process; as far as the store allows, otherwise it waits for a minute."""
        self._is_released.set()
        self._thread.join()
        with suppress(StoreError, CheckpointError):
            self.ensure_held()
            self._file(self._number).unlink(missing_ok=True)

    def ensure_held(self) -> None:
        """Check that no other process has taken the directory over.

        Raises:
            CheckpointError: one has, because this one did not renew its lease in time.
        """
        number, content = self._newest()
        if number != self._number or content.get("token") != self._content["token"]:
            holder = content.get("holder", "another process")
            raise CheckpointError(
                f"{self._directory} was taken over by {holder}, since this process could not write to it for "
                f"{EXPIRY_S:.0f} s; this run must end"
            )

    def _acquire(self) -> int:
        """Wait for the end of a holder that may be dead; return the number of the own file."""
        number, content = self._newest()
        seen = time.monotonic()
        is_reported = False
        while number:
            if _has_ended(content.get("process", "")) or time.monotonic() - seen > EXPIRY_S:
                break
            if not is_reported:
                is_reported = True
                logger.info(
                    "start  %s was written by %s: waiting for up to %.0f s until it is certain whether it has ended",
                    *(self._directory, content.get("holder", "another process"), EXPIRY_S),
                )
            time.sleep(_POLL_S)
            number_now, content_now = self._newest()
            if number_now and (number_now, content_now) != (number, content):
                raise CheckpointError(
                    f"{self._directory} is being written by {content_now.get('holder', 'another process')}; wait for "
                    f"it or stop it, or choose another {self._flag}"
                )
            number = number_now
        return self._take(number)

    def _take(self, number: int) -> int:
        """Create the next file and delete the older one."""
        if not self._file(number + 1).create(self._data()) or self._newest()[1].get("token") != self._content["token"]:
            return self._acquire()  # another process was faster
        if number:
            self._file(number).unlink(missing_ok=True)
        return number + 1

    def _renew(self) -> None:
        """Thread: write the file again until it is released or lost."""
        while not self._is_released.wait(RENEW_S):
            try:
                self.ensure_held()
                self._content["renewals"] += 1
                self._file(self._number).write_bytes(self._data())
            except CheckpointError as error:
                logger.warning("%s", error)
                return
            except StoreError:  # tried again; the next save reports it
                continue

    def _newest(self) -> tuple[int, dict[str, Any]]:
        """Return number and content of the newest file; (0, {}) if there is none."""
        matches = [_NAME.fullmatch(path.name) for path in self._directory.iterdir()]
        numbers = [int(match[1]) for match in matches if match]
        if not numbers:
            return 0, {}
        try:
            content = json.loads(self._file(max(numbers)).read_bytes())
        except FileNotFoundError:  # released meanwhile
            return self._newest()
        except ValueError:
            content = {}
        return max(numbers), content if isinstance(content, dict) else {}

    def _file(self, number: int) -> StorePath:
        return self._directory / f".lock-{number}"

    def _data(self) -> bytes:
        return json.dumps(self._content).encode()


def lock_directory(directory: AnyPath, flag: str = "--model_dir") -> Lock | Lease:
    """Lock a directory for this process; see `Lock` and `Lease`."""
    return Lock(directory, flag) if isinstance(directory, Path) else Lease(directory, flag)


def _process(pid: int) -> str:
    """Identify a process of this machine and container since their start; "" where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}/{pid}/{started}"
    except OSError:
        return ""


def _has_ended(process: str) -> bool:
    """True for a process of this machine and container that no longer runs."""
    words, own_words = process.split("/"), _process(os.getpid()).split("/")
    is_of_this_machine = len(words) == len(own_words) == 4 and words[:2] == own_words[:2] and words[2].isdecimal()
    return is_of_this_machine and _process(int(words[2])) != process
