"""Table of what works of a folder of configs: parse, check, and a short run on synthetic data.

    python tools/compatibility.py --configs DIR [--out docs/compatibility_table.md]

Each config below DIR (`*.config`) is parsed and checked unchanged. If it passes, a small copy of it trains 20 steps on
synthetic data, is resumed, evaluated, exported and predicted with, on one rank and on two; see
`compatibility_config.py` for what is made smaller. Tables of a warehouse, topics and files that are missing are
replaced. Each config has processes of its own with a time limit. Finished configs are kept in --work_dir, and a second
call continues with the others.

Exit status: 0 if every config works, except those that use something that tzrec does not support, which the table
names; 1 if another one fails; 2 if there is no config.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markdown_table import markdown_table

CASE = Path(__file__).with_name("compatibility_case.py")
STAGES = ("train", "resume", "evaluate", "export", "predict")
_KILL_AFTER_S = 10


@dataclass
class Verdict:
    """What works of one config.

    Attributes:
        name: path below the folder.
        digest: of its text.
        parses: its text is a config.
        errors: problems of `check`, except unsupported parts.
        unsupported: parts that tzrec does not support.
        warnings: of `check`.
        failures: by number of ranks, the stage that failed and the reason; "" if all passed. Empty if nothing was run.
    """

    name: str
    digest: str
    parses: bool = False
    errors: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def passes_check(self) -> bool:
        return self.parses and not self.errors and not self.unsupported

    @property
    def is_unsupported(self) -> bool:
        """True if nothing but parts that are not supported stands in the way."""
        return self.parses and not self.errors and bool(self.unsupported)

    @property
    def works(self) -> bool:
        return self.passes_check and not any(self.failures.values())

    @property
    def reason(self) -> str:
        """Why it does not work; "" if it does."""
        if not self.passes_check:
            problems = [*self.errors, *self.unsupported] or ["no reason given"]
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            return problems[0] + more
        failed = dict.fromkeys(text for text in self.failures.values() if text)
        return "; ".join(failed)

    def row(self) -> list[str]:
        """Cells of the table."""
        if not self.parses:
            return [self.name, "no", "", "", "", self.reason]
        errors, warnings = len(self.errors) + len(self.unsupported), len(self.warnings)
        state = "passes" if self.passes_check else _count(errors, "error")
        check = f"{state}, {_count(warnings, 'warning')}" if warnings else state
        runs = [self._run(ranks) for ranks in ("1", "2")]
        return [self.name, "yes", check, *runs, self.reason]

    def _run(self, ranks: str) -> str:
        if ranks not in self.failures:
            return ""
        failure = self.failures[ranks]
        return f"fails: {failure.partition(':')[0]}" if failure else "works"


@dataclass(frozen=True)
class Runner:
    """Checks and runs configs.

    Attributes:
        work_dir: directory of results and data.
        ranks: numbers of ranks to run on; empty to check only.
        timeout_s: limit of each process.
    """

    work_dir: Path
    ranks: tuple[int, ...]
    timeout_s: float

    def verdict(self, path: Path, name: str) -> Verdict:
        """Examine a config, or return the result of an earlier call."""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        directory = self.work_dir / name
        stored = directory / "verdict.json"
        verdict = _load(stored, name, digest) or Verdict(name, digest)
        if not verdict.parses and not verdict.errors:
            directory.mkdir(parents=True, exist_ok=True)
            self._check(path, directory, verdict)
        for ranks in self.ranks if verdict.passes_check else ():
            if str(ranks) not in verdict.failures:
                verdict.failures[str(ranks)] = self._run(path, directory, ranks)
                _store(stored, verdict)
        _store(stored, verdict)
        return verdict

    def _check(self, path: Path, directory: Path, verdict: Verdict) -> None:
        result = directory / "check.json"
        ended = self._process(
            [sys.executable, str(CASE), "check", str(path.resolve()), str(result)], directory, "check"
        )
        if ended:
            verdict.errors.append(f"check: {ended}")
            return
        for key, value in json.loads(result.read_text()).items():
            setattr(verdict, key, value)

    def _run(self, path: Path, directory: Path, ranks: int) -> str:
        """Run all stages; return the stage that failed and why, or ""."""
        run_dir = directory / f"ranks_{ranks}"
        shutil.rmtree(run_dir, ignore_errors=True)
        run_dir.mkdir(parents=True)
        made, result = run_dir / "data.json", run_dir / "run.json"
        command = [sys.executable, str(CASE), "data", str(path.resolve()), str(run_dir), str(made)]
        ended = self._process(command, run_dir, "data")
        failure = _failure(made, ("data",), ended)
        if failure:
            return failure
        command = [str(CASE), "run", str(run_dir), str(result)]
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
        ended = self._process([sys.executable, *torchrun, *command], run_dir, "run")
        failure = _failure(result, STAGES, ended)
        if not failure:
            for name in ("model", "data", "export", "scores", "tables"):
                shutil.rmtree(run_dir / name, ignore_errors=True)
        return failure

    def _process(self, command: Sequence[str], directory: Path, name: str) -> str:
        """Run a command in a group of its own; return why it did not end well, or ""."""
        with (directory / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=directory, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = process.wait(self.timeout_s)
            except subprocess.TimeoutExpired:
                _end(process)
                return f"ran longer than {self.timeout_s:g} s"
            except BaseException:
                _end(process)
                raise
        return "" if code == 0 else f"exit status {code}, see {directory / name}.log"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and the ranks that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_KILL_AFTER_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _failure(result: Path, names: Sequence[str], ended: str) -> str:
    """Describe the first stage that failed; "" if all passed."""
    stages: list[dict[str, Any]] = json.loads(result.read_text())["stages"] if result.is_file() else []
    for stage in stages:
        if stage["reason"]:
            reason = ended if ended and "seconds" not in stage else stage["reason"]
            return f"{stage['name']}: {reason}"
    missing = names[len(stages)] if len(stages) < len(names) else ""
    return f"{missing or names[-1]}: {ended or 'did not run'}" if missing or ended else ""


def _load(stored: Path, name: str, digest: str) -> Verdict | None:
    if not stored.is_file():
        return None
    verdict = Verdict(**json.loads(stored.read_text()))
    return verdict if (verdict.name, verdict.digest) == (name, digest) else None


def _store(stored: Path, verdict: Verdict) -> None:
    partial = stored.with_suffix(".partial")
    partial.write_text(json.dumps(vars(verdict), indent=1))
    partial.replace(stored)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def table(verdicts: Sequence[Verdict]) -> str:
    """Write the table in Markdown."""
    num_working = sum(verdict.works for verdict in verdicts)
    num_unsupported = sum(verdict.is_unsupported for verdict in verdicts)
    header = ["config", "parses", "check", "one rank", "two ranks", "reason"]
    rows = [header, *([cell.replace("|", "\\|") for cell in verdict.row()] for verdict in verdicts)]
    return "\n".join(
        [
            "# Compatibility table",
            "",
            "Generated by `tools/compatibility.py`. The column check is about the unchanged text; the runs train 20",
            "steps, resume, evaluate, export and predict with a small copy of it on synthetic data.",
            "",
            f"{_count(len(verdicts), 'config')}: {num_working} work, {num_unsupported} use parts that are not "
            f"supported, {len(verdicts) - num_working - num_unsupported} fail.",
            "",
            markdown_table(rows),
            "",
        ]
    )


def find_configs(directory: Path, pattern: str) -> list[tuple[Path, str]]:
    """Find the configs below a directory: path, and path below the directory; hidden folders are left out."""
    paths = [(path, path.relative_to(directory)) for path in sorted(directory.rglob("*.config"))]
    return [
        (path, name.as_posix())
        for path, name in paths
        if path.is_file() and not any(part.startswith(".") for part in name.parts) and name.match(pattern)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Examine all configs and write the table; see the module for the exit status."""
    parser = argparse.ArgumentParser("tools/compatibility.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--configs", required=True, type=Path, metavar="DIR", help="folder of config texts")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/compatibility_table.md"), metavar="FILE", help="the table to write"
    )
    parser.add_argument("--only", default="*", metavar="GLOB", help="examine the configs whose path ends like this")
    parser.add_argument("--check_only", action="store_true", help="parse and check, and run nothing")
    parser.add_argument(
        "--ranks", type=int, nargs="+", default=[1, 2], choices=(1, 2), help="numbers of ranks to run on"
    )
    parser.add_argument("--timeout_s", type=float, default=600, help="limit of each process in seconds")
    parser.add_argument("--jobs", type=int, default=1, help="configs to examine at the same time")
    parser.add_argument(
        "--work_dir",
        type=Path,
        default=Path("build/compatibility"),
        help="results and logs; finished configs are not run again",
    )
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    args = parser.parse_args(argv)
    configs = find_configs(args.configs, args.only)
    if not configs:
        print(f"no *.config below {args.configs}", file=sys.stderr)
        return 2
    if args.fresh:
        shutil.rmtree(args.work_dir, ignore_errors=True)
    runner = Runner(args.work_dir.resolve(), () if args.check_only else tuple(args.ranks), args.timeout_s)
    with ThreadPoolExecutor(args.jobs) as pool:
        verdicts = []
        for verdict in pool.map(lambda config: runner.verdict(*config), configs):
            verdicts.append(verdict)
            state = "works" if verdict.works else "not supported" if verdict.is_unsupported else "fails"
            print(f"{len(verdicts)}/{len(configs)} {verdict.name}: {state} {verdict.reason}".rstrip(), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(table(verdicts))
    return 0 if all(verdict.works or verdict.is_unsupported for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
