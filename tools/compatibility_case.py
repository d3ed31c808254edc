"""One config, checked and run: what tools/compatibility.py starts for each config, so that a crash ends one of them.

    python tools/compatibility_case.py check CONFIG RESULT
    python tools/compatibility_case.py data CONFIG DIRECTORY RESULT
    torchrun --nproc-per-node=N tools/compatibility_case.py run DIRECTORY RESULT

The results are JSON.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from compatibility_config import BATCH_SIZE, small_copy, write_tables

from tzrec import env
from tzrec.config.load import dump_config, load_config, load_source
from tzrec.config.schema import MISSING
from tzrec.errors import ConfigError, TzrecError

NUM_STEPS = 20
NUM_MORE_STEPS = 5
"""Steps of the resumed run."""

NUM_RANKS = 2
"""Ranks that the training data is enough for."""

NUM_EVAL_ROWS = 96
CONFIG = "small.config"
UNSUPPORTED = "is not supported"
_MAX_REASON = 300


def check(config: str, result: Path) -> None:
    """Parse and check a config, and write {"parses", "errors", "unsupported", "warnings"}."""
    from tzrec.run.check import check as check_config

    try:
        source = load_source(config)
        problems = [problem for problem in source.problems if not problem.message.startswith(MISSING)]
    except ConfigError as error:
        problems = list(error.problems)
    if problems:
        verdict: dict[str, Any] = {"parses": False, "errors": [_one_line(str(problem)) for problem in problems]}
        _write(result, verdict | {"unsupported": [], "warnings": []})
        return
    checked = check_config(config)
    texts = [_without_path(str(problem), config) for problem in checked.problems]
    verdict = {
        "parses": True,
        "errors": [text for text in texts if UNSUPPORTED not in text],
        "unsupported": [text for text in texts if UNSUPPORTED in text],
        "warnings": [_without_path(str(problem), config) for problem in checked.warnings],
    }
    _write(result, verdict)


def make(config: str, directory: Path, result: Path) -> None:
    """Write a small copy of a config and its data."""
    import pyarrow as pa

    from tzrec.data.synthetic import data_extension, make_data, make_table

    def write() -> None:
        small = small_copy(load_config(config), directory, NUM_STEPS)
        train_path, eval_path = Path(small.train_input_path), Path(small.eval_input_path)
        extension = data_extension(small.data_config)
        small.train_input_path, small.eval_input_path = f"{train_path}/*.{extension}", f"{eval_path}/*.{extension}"
        num_rows = (NUM_STEPS + NUM_MORE_STEPS) * BATCH_SIZE * NUM_RANKS
        make_data(small, small.train_input_path, num_rows, seed=1)
        make_data(small, small.eval_input_path, NUM_EVAL_ROWS, seed=2)
        rows = pa.concat_tables([make_table(small, num_rows, seed=1), make_table(small, NUM_EVAL_ROWS, seed=2)])
        small = write_tables(small, directory / "tables", rows)
        (directory / CONFIG).write_text(dump_config(small))

    with contextlib.suppress(_FailedError):
        _stage("data", [], result)(write)


def run(directory: Path, result: Path) -> None:
    """Train, resume, evaluate, export and predict on the ranks of this process group; stop at the first failure."""
    stages: list[dict[str, Any]] = []
    config = str(directory / CONFIG)
    saved = f"{directory}/model/pipeline.config"
    with contextlib.suppress(_FailedError):
        _stage("train", stages, result)(lambda: _train(config, NUM_STEPS, should_resume=False))
        _stage("resume", stages, result)(lambda: _train(config, NUM_STEPS + NUM_MORE_STEPS, should_resume=True))
        _stage("evaluate", stages, result)(lambda: _evaluate(saved))
        _stage("export", stages, result)(lambda: _export(saved, directory, result))
        _stage("predict", stages, result)(lambda: _predict(saved, directory))


class _FailedError(Exception):
    """A stage failed; its reason is written."""


def _stage(name: str, stages: list[dict[str, Any]], result: Path) -> Callable[[Callable[[], None]], None]:
    """Return a function that runs a stage and writes all stages so far, on the main rank."""

    def execute(work: Callable[[], None]) -> None:
        start, reason = time.monotonic(), ""
        if env.rank_info().is_main:
            _write(result, {"stages": [*stages, {"name": name, "reason": "the process ended"}]})
        try:
            work()
        except TzrecError as error:
            reason = _one_line(str(error))
        except Exception as error:  # the table reports whatever goes wrong
            reason = _one_line(f"{type(error).__name__}: {error}")
        stages.append({"name": name, "reason": reason, "seconds": round(time.monotonic() - start, 1)})
        if env.rank_info().is_main:
            _write(result, {"stages": stages})
        if reason:
            raise _FailedError

    return execute


def _train(config: str, num_steps: int, should_resume: bool) -> None:
    import tzrec

    done = tzrec.train(config, edit={"train_config.num_steps": num_steps}, continue_train=should_resume)
    _expect(done.step, num_steps - 1, "the last step")


def _evaluate(config: str) -> None:
    import tzrec

    metrics = tzrec.evaluate(config)
    if not metrics:
        raise AssertionError("no metrics")
    infinite = [name for name, value in metrics.items() if value is not None and math.isinf(value)]
    if infinite:
        raise AssertionError(f"metrics that are not finite: {', '.join(infinite)}")


def _export(config: str, directory: Path, result: Path) -> None:
    """Export on the main rank; the others wait until it has written that the stage ended."""
    import tzrec

    if env.rank_info().is_main:
        tzrec.export(config, directory / "export")
        return
    while not (ended := [stage for stage in _read_stages(result) if stage["name"] == "export" and "seconds" in stage]):
        time.sleep(0.2)
    if ended[0]["reason"]:
        raise AssertionError(ended[0]["reason"])


def _read_stages(result: Path) -> list[dict[str, Any]]:
    return json.loads(result.read_text())["stages"]  # type: ignore[no-any-return]


def _predict(config: str, directory: Path) -> None:
    """Score all rows with each exported program; numbers must be finite."""
    import pyarrow as pa
    import pyarrow.compute as pc

    import tzrec

    packages = _packages(directory / "export")
    if not packages:
        raise AssertionError("export wrote no package")
    input_path = load_config(config).eval_input_path
    for package in packages:
        output = directory / "scores" / package.name
        num_rows = tzrec.predict(input_path, output, package=package)
        _expect(num_rows, NUM_EVAL_ROWS, f"rows of {package.name}")
        if not env.rank_info().is_main:
            continue
        table = _read(output)
        _expect(table.num_rows, NUM_EVAL_ROWS, f"rows in {package.name}'s files")
        for name in table.column_names:
            column = table[name]
            if pa.types.is_floating(column.type) and not pc.all(pc.is_finite(column)).as_py():
                raise AssertionError(f"{name} is not finite in some rows")


def _packages(export_dir: Path) -> list[Path]:
    """Directories of the programs of an export."""
    if (export_dir / "manifest.json").is_file():
        return [export_dir]
    return sorted(path.parent for path in export_dir.glob("*/manifest.json"))


def _read(output: Path) -> Any:
    import pyarrow.dataset as ds

    parts = sorted(str(path) for path in output.glob("part-*"))
    return ds.dataset(parts, format=Path(parts[0]).suffix.removeprefix(".")).to_table()


def _expect(received: object, expected: object, subject: str) -> None:
    if received != expected:
        raise AssertionError(f"{subject}: {received}, not {expected}")


def _without_path(text: str, config: str) -> str:
    return _one_line(text.replace(f"{config}:", ""))


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_REASON else f"{line[:_MAX_REASON]} ..."


def _write(path: Path, value: object) -> None:
    with _replaced(path) as partial:
        partial.write_text(json.dumps(value, indent=1))


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Give a path to write; it becomes the file at the end, so that a killed process leaves no half of one."""
    partial = path.with_suffix(".partial")
    yield partial
    partial.replace(path)


def main(argv: list[str]) -> int:
    """Run one verb; see the module."""
    verb, *words = argv
    if verb == "check":
        check(words[0], Path(words[1]))
    elif verb == "data":
        make(words[0], Path(words[1]), Path(words[2]))
    else:
        run(Path(words[0]), Path(words[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
