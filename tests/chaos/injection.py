"""Inject faults, each in a process of its own, several at a time and within a limit of time."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.chaos.fault import Fault, Outcome
from tests.chaos.workspace import Workspace, stop_processes_of


@dataclass(frozen=True)
class Report:
    """Outcome of a fault, or the error with which it ended."""

    fault: Fault
    outcome: Outcome | None
    error: str
    seconds: float

    @property
    def is_survived(self) -> bool:
        """True if the fault ended as it should, with no row lost or repeated."""
        return self.outcome is not None and not self.outcome.lost_rows and not self.outcome.repeated_rows

    @property
    def verdict(self) -> str:
        return "yes" if self.is_survived else "NO"


@dataclass(frozen=True)
class _Running:
    fault: Fault
    process: BaseProcess
    results: Connection
    workspace_dir: Path
    begin: float


def inject(fault: Fault) -> Outcome:
    """Inject one fault in this process."""
    base = Path(tempfile.mkdtemp(prefix="tzrec-chaos-"))
    try:
        return _inject_in(fault, base / _directory_name(fault))
    finally:
        shutil.rmtree(base, ignore_errors=True)


def inject_all(faults: Sequence[Fault], num_jobs: int, limit_s: float) -> Iterator[Report]:
    """Inject faults, `num_jobs` at a time, and yield a report as each ends; none is begun after `limit_s` seconds."""
    # children inherit the imported packages: torch takes seconds to import, and no thread of it has started here
    import tzrec.run.train  # noqa: F401

    context = multiprocessing.get_context("fork")
    base, begin = Path(tempfile.mkdtemp(prefix="tzrec-chaos-")), time.monotonic()
    waiting, running = list(reversed(faults)), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < num_jobs and time.monotonic() - begin < limit_s:
                running.append(_start(context, waiting.pop(), base))
            if not running:
                return
            wait([job.results for job in running], timeout=1)
            for job in list(running):
                report = _report(job)
                if report is not None:
                    running.remove(job)
                    yield report
    finally:
        for job in running:
            job.process.kill()
            _clean(job.workspace_dir)
        shutil.rmtree(base, ignore_errors=True)


def _start(context: multiprocessing.context.ForkContext, fault: Fault, base: Path) -> _Running:
    results, sender = context.Pipe(duplex=False)
    directory = base / _directory_name(fault)
    process = context.Process(target=_work, args=(fault, directory, sender))
    process.start()
    sender.close()
    return _Running(fault, process, results, directory, time.monotonic())


def _work(fault: Fault, directory: Path, sender: Connection) -> None:
    with open(os.devnull, "w") as nowhere:  # the log of runs in this process would interrupt the table
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    try:
        sender.send((_inject_in(fault, directory), ""))
    except BaseException:  # the report shows it, whatever it is
        sender.send((None, traceback.format_exc()))


def _inject_in(fault: Fault, directory: Path) -> Outcome:
    workspace = Workspace(directory)
    try:
        return fault.inject(workspace)
    finally:
        _clean(directory)


def _report(job: _Running) -> Report | None:
    """Return the report of a fault that has ended or hangs, else None."""
    seconds = time.monotonic() - job.begin
    if job.results.poll():
        try:
            outcome, error = job.results.recv()
            if outcome:
                outcome = dataclasses.replace(outcome, message=outcome.message.replace(f"{job.workspace_dir}/", ""))
        except EOFError:
            outcome, error = None, f"the process of the fault ended with status {job.process.exitcode}"
    elif seconds > job.fault.limit_s:
        job.process.kill()
        outcome, error = None, f"no end within {job.fault.limit_s:.0f} s"
    else:
        return None
    job.process.join()
    _clean(job.workspace_dir)
    return Report(job.fault, outcome, error, seconds)


def _clean(directory: Path) -> None:
    """Stop what a fault left running and remove its directory."""
    stop_processes_of(directory)
    shutil.rmtree(directory, ignore_errors=True)


def _directory_name(fault: Fault) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{fault.area} {fault.description}".lower()).strip("-")
