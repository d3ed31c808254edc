"""Watch of the ranks over each other: names the rank that is lost or hangs.

Every second a thread of each rank writes a record into the store: that it lives, and at which place of the run it is.
Nobody reads the records while the run advances. A rank that waits reads them, and when the time is over, or a
connection breaks, it names the ranks that are gone, ended with an error, show no sign of life, or have not arrived.
The training loop takes part with assignments to `RankProgress` alone.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from tzrec.distributed import processes
from tzrec.distributed.meeting import Meeting, Member
from tzrec.distributed.progress import RankProgress
from tzrec.errors import TrainingError, first_line
from tzrec.log import logger

GRACE_S = 30.0
"""A rank that has not left by itself this long after the time-out is ended by its own watch."""

_BEAT_S = 1.0
_URGENT_BEAT_S = 0.1
_WAITING_S = 2.0  # a rank that has been at one place for so long reads the records of the others
_SILENT_S = 3.5  # more than three beats without a new record
_EVIDENCE_S = 6.0  # longest wait for evidence after a broken connection
_FAREWELL_S = 3.0  # longest wait of a failed rank 0 for the others to read its records
_WARN_S = 60.0


class LostRankError(TrainingError):
    """A run that ends because of another rank; names it."""


@dataclass
class _Seen:
    """Last record of another rank.

    Attributes:
        record: the record.
        first: time at which it was first read.
        last: time at which it was last read; the rank has been silent since `first`.
    """

    record: dict[str, Any]
    first: float
    last: float

    @property
    def silent_s(self) -> float:
        return self.last - self.first


@dataclass(frozen=True)
class _Suspect:
    """Rank that may be the cause, and the signs of it."""

    member: Member
    sign: str
    is_certain: bool


class Peers:
    """Watch over the other ranks of a run, from construction to `leave`.

    Args:
        meeting: members and store of the run.
        rank: of this process.
        timeout_s: seconds for which a rank waits for another one.
        progress: place of this rank, which the training loop updates.
    """

    def __init__(self, meeting: Meeting, rank: int, timeout_s: float, progress: RankProgress) -> None:
        self._store, self._address = meeting.own_store, meeting.address
        self._members, self._me = meeting.members, meeting.members[rank]
        self._others = [member for member in meeting.members if member.rank != rank]
        self._timeout_s, self._progress = timeout_s, progress
        self._farewell, self._is_victim = "", False
        self._num_beats = 0
        self._seen: dict[int, _Seen] = {}
        self._read_every = 1 + len(meeting.members) // 64  # all ranks of a large run read when one of them hangs
        self._answered = time.monotonic()  # last answer of the store
        self._store_error = ""
        self._is_urgent = threading.Event()  # write and read at once, and often
        self._stopped = threading.Event()
        self._exchange()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (("ranks-beat", self._beat), ("ranks-watch", self._watch))
        ]
        for thread in self._threads:
            thread.start()

    def wait_for_all(self) -> None:
        """Wait until all ranks have arrived at the place of this one, as long as those that have not do advance.

        Raises:
            TrainingError: a rank is lost, or did not advance within the time-out.
        """
        advanced: dict[int, tuple[int, float]] = {}
        self._forget_silence(time.monotonic())  # the run may have kept the own threads from asking
        self._is_urgent.set()
        while True:
            now = time.monotonic()
            late = [member for member in self._others if self._count(member) < self._progress.count]
            if not late:
                self._is_urgent.clear()
                return
            self._progress.since = now  # this wait has a time limit of its own
            for member in late:
                work = self._record(member).get("work", 0)
                if advanced.get(member.rank, (-1, 0.0))[0] != work:
                    advanced[member.rank] = (work, now)
            certain = [suspect for suspect in self._suspects(_EVIDENCE_S) if suspect.is_certain]
            if certain or any(now - advanced[member.rank][1] > self._timeout_s for member in late):
                raise self._error(certain or list(self._suspects(_EVIDENCE_S)), "")
            time.sleep(0.05)

    def leave(self, error: BaseException | None) -> None:
        """End the watch, and leave a record for the others that still read.

        Args:
            error: that ends the run on this rank; None for a run that is done.
        """
        if error is not None:
            self._is_victim = isinstance(error, LostRankError)
            self._farewell = str(error) if self._is_victim else f"{type(error).__name__}: {error}"
            self._is_urgent.set()
            num_beats = self._num_beats
            self._wait(lambda: self._num_beats > num_beats + 1, _FAREWELL_S)
            if not self._address.is_held_by_agent and self._me.rank == 0:
                self._wait(lambda: all(self._has_left(member) for member in self._others), _FAREWELL_S)
        self._stopped.set()
        self._is_urgent.set()
        for thread in self._threads:
            thread.join(timeout=_BEAT_S)  # one that waits for a store out of reach stays behind

    def explain(self, error: BaseException) -> LostRankError:
        """Wait for signs of the rank that broke an exchange, and name it."""
        self._is_urgent.set()
        num_beats = self._num_beats
        # a rank that is gone may have left its reason in the store a moment before
        self._wait(lambda: self._num_beats > num_beats + 1, _BEAT_S)
        self._wait(lambda: any(suspect.is_certain for suspect in self._suspects(_SILENT_S)), _EVIDENCE_S)
        suspects = list(self._suspects(_SILENT_S))
        certain = [suspect for suspect in suspects if suspect.is_certain]
        return self._error(certain or suspects, first_line(error))

    def _wait(self, condition: Callable[[], bool], limit_s: float) -> None:
        end = time.monotonic() + limit_s
        while not condition() and time.monotonic() < end and not self._is_store_silent(_SILENT_S):
            time.sleep(0.05)

    def _error(self, suspects: Sequence[_Suspect], reason: str) -> LostRankError:
        text = self._text(suspects) or f"the exchange between the ranks failed, and all of them are alive ({reason})"
        return LostRankError(
            f"{text}. This rank was at {self._progress}. Start all ranks again, training with --continue_train: it "
            "goes on from the last checkpoint"
        )

    def _text(self, suspects: Sequence[_Suspect]) -> str:
        return "; ".join(f"{suspect.member} {suspect.sign}" for suspect in suspects)

    # records

    def _beat(self) -> None:
        while not self._stopped.is_set():
            if self._is_urgent.wait(_BEAT_S):
                self._stopped.wait(_URGENT_BEAT_S)
            try:
                self._exchange()
            except RuntimeError as error:  # of torch: the store is gone, and with it all news
                self._store_error = first_line(error)
                return

    def _exchange(self) -> None:
        """Write the record of this rank; read the others if it waits."""
        progress = self._progress
        now = time.monotonic()
        record = {
            "beat": self._num_beats,
            "count": progress.count,
            "place": str(progress),
            "waited": now - progress.since,
            "work": progress.work,
            "farewell": self._farewell,
            "is_victim": self._is_victim,
        }
        self._store.set(f"peer/{self._me.rank}", json.dumps(record))
        self._num_beats += 1
        is_waiting = now - progress.since > _WAITING_S and self._num_beats % self._read_every == 0
        if is_waiting or self._is_urgent.is_set():
            keys = [f"peer/{member.rank}" for member in self._others]
            if self._store.check(keys):
                for member, data in zip(self._others, self._store.multi_get(keys), strict=True):
                    self._see(member, json.loads(data))
        self._answered = time.monotonic()

    def _see(self, member: Member, record: dict[str, Any]) -> None:
        now, seen = time.monotonic(), self._seen.get(member.rank)
        is_silent = seen is not None and seen.record["beat"] == record["beat"]
        self._seen[member.rank] = _Seen(record, seen.first if seen and is_silent else now, now)

    def _record(self, member: Member) -> dict[str, Any]:
        seen = self._seen.get(member.rank)
        return seen.record if seen else {}

    def _count(self, member: Member) -> int:
        return int(self._record(member).get("count", -1))

    def _has_left(self, member: Member) -> bool:
        return bool(self._record(member).get("farewell")) or self._state(member) == processes.GONE

    def _state(self, member: Member) -> str:
        is_local = member.namespace and member.namespace == self._me.namespace
        return processes.state(member.process, member.started) if is_local else ""

    # verdict

    def _suspects(self, silent_s: float) -> Iterator[_Suspect]:
        """Yield the ranks that may be the cause of a wait or of a broken connection.

        Args:
            silent_s: seconds without a new record after which a rank shows no sign of life.
        """
        place = self._progress
        waited = time.monotonic() - place.since
        is_store_silent = self._is_store_silent(silent_s)
        victims: list[_Suspect] = []
        is_any_certain = False
        for member in self._others:
            record, state = self._record(member), self._state(member)
            sign = self._certain_sign(member, record, state, silent_s, is_store_silent)
            if sign:
                is_any_certain = True
                yield _Suspect(member, sign, True)
            elif record.get("farewell"):
                victims.append(_Suspect(member, f"has ended: {record['farewell']}", False))
            elif record and record["count"] < place.count:
                at = f"it is alive, at {record['place']} for {record['waited']:.0f} s"
                yield _Suspect(member, f"has not arrived at {place} for {waited:.0f} s: {at}", False)
        if not is_any_certain:
            yield from victims

    def _is_store_silent(self, silent_s: float) -> bool:
        return bool(self._store_error) or time.monotonic() - self._answered > silent_s

    def _certain_sign(
        self, member: Member, record: dict[str, Any], state: str, silent_s: float, is_store_silent: bool
    ) -> str:
        """Return the sign that a rank is lost; empty if there is none."""
        place = self._progress
        waited = time.monotonic() - place.since
        if record.get("farewell") and not record["is_victim"]:
            return f"ended with an error: {record['farewell']}"
        if record.get("farewell"):
            return ""
        if state == processes.GONE:
            return "is gone: it was killed, or it crashed"
        missing = f"has not arrived at {place} for {waited:.0f} s"
        if state == processes.STOPPED:
            return f"{missing}: its process is stopped (by SIGSTOP or a debugger)"
        if is_store_silent:
            holds = member.rank == 0
            return f"does not answer, nor does {self._address}: crashed, or out of reach" if holds else ""
        seen = self._seen.get(member.rank)
        if seen and seen.silent_s > silent_s:
            return f"{missing}: no sign of life for {seen.silent_s:.0f} s; stopped or out of reach"
        return ""

    # watch

    def _watch(self) -> None:
        """Warn of a long wait, once for each place; end this process if it does not leave after the time-out."""
        warned, last = -1, time.monotonic()
        warn_s = min(_WARN_S, self._timeout_s / 2)
        while not self._stopped.wait(min(_BEAT_S / 2, self._timeout_s / 10)):
            now = time.monotonic()
            if now - last > 3 * _BEAT_S + _SILENT_S:
                self._progress.since = now
                self._forget_silence(now)  # this process, or its machine, was stopped itself
            last = now
            waited = now - self._progress.since
            if waited > warn_s and warned != self._progress.count:
                warned = self._progress.count
                self._warn()
            if waited > self._timeout_s + GRACE_S:
                suspects = list(self._suspects(_EVIDENCE_S))
                if suspects:
                    self._end(suspects)

    def _forget_silence(self, now: float) -> None:
        """Count the silence of the store and of the other ranks from now on."""
        self._answered = now
        for seen in list(self._seen.values()):
            seen.first = seen.last = now

    def _warn(self) -> None:
        suspects = list(self._suspects(_EVIDENCE_S))
        if suspects:
            logger.warning(
                "%s. The run ends after %.0f s of waiting (train_config.rank_timeout_s)",
                self._text(suspects),
                self._timeout_s,
            )
        elif any(self._count(member) > self._progress.count for member in self._others):
            waited = time.monotonic() - self._progress.since
            logger.warning("the other ranks wait for this one, which is at %s for %.0f s", self._progress, waited)

    def _end(self, suspects: Sequence[_Suspect]) -> NoReturn:
        """End this process, whose main thread waits for something that has no time limit of its own."""
        logger.error("%s", self._error(suspects, ""))
        os._exit(TrainingError.exit_code)
