"""Inject all faults side by side, print a table and end with one line of JSON.

    python -m tests.chaos                      all faults, within 20 minutes
    python -m tests.chaos --only checkpoints   faults whose area or description contains a text
    python -m tests.chaos --short              the faults of `make test`

The exit status is 0 if all faults were injected and survived, and no row was lost or repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.chaos.fault import Fault, all_faults
from tests.chaos.injection import Report, inject_all


def main() -> int:
    """Inject the selected faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="faults whose area or description contains this text")
    parser.add_argument("--short", action="store_true", help="only the faults of `make test`")
    parser.add_argument("--minutes", type=float, default=19, help="no fault is begun after these; default: 19")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time; default: 2")
    parser.add_argument("--verbose", action="store_true", help="print the errors of faults in full")
    arguments = parser.parse_args()
    faults = [
        fault
        for fault in all_faults()
        if (fault.short or not arguments.short) and arguments.only in f"{fault.area} {fault.description}"
    ]
    reports = []
    for report in inject_all(faults, arguments.jobs, arguments.minutes * 60):
        reports.append(report)
        print(
            f"{report.verdict:9} {report.seconds:5.1f} s  {report.fault.area}: {report.fault.description}", flush=True
        )
        if report.error and arguments.verbose:
            print(report.error, flush=True)
    reports.sort(key=lambda report: faults.index(report.fault))
    print_table(reports)
    print(json.dumps(summary(faults, reports)))
    return 0 if all(report.is_survived for report in reports) and len(reports) == len(faults) else 1


def print_table(reports: list[Report]) -> None:
    """Print one line for each fault: area, fault, times, survived, lost, repeated, message."""
    width = max((len(report.fault.description) for report in reports), default=5)
    print(f"\n{'area':16}{'fault':{width + 2}}times  survived  lost  repeated  message")
    for report in reports:
        message = (report.outcome.message if report.outcome else report.error.strip().splitlines()[-1])[:160]
        lost, repeated = (report.outcome.lost_rows, report.outcome.repeated_rows) if report.outcome else ("?", "?")
        print(
            f"{report.fault.area:16}{report.fault.description:{width + 2}}{report.fault.times:5}  {report.verdict:8}"
            f"  {lost:4}  {repeated:8}  {message}"
        )


def summary(faults: list[Fault], reports: list[Report]) -> dict[str, float]:
    """Return the figures of the last line."""
    outcomes = [report.outcome for report in reports if report.outcome]
    return {
        "faults": len(faults),
        "injections": sum(report.fault.times for report in reports),
        "survived": sum(report.is_survived for report in reports),
        "not_run": len(faults) - len(reports),
        "lost_rows": sum(outcome.lost_rows for outcome in outcomes),
        "repeated_rows": sum(outcome.repeated_rows for outcome in outcomes),
    }


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main())
