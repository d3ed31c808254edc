from __future__ import annotations

import logging
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.fixtures.small_model import exported_package, small_encoder, small_rows
from tzrec.serving import program_runner
from tzrec.serving.package import Package, Program
from tzrec.serving.package_manifest import Content, PackageManifest
from tzrec.serving.program_runner import FILE, KIND


def opened(runner: Content | None) -> Program:
    """The program of the package as if its manifest had this entry for the runner."""
    manifest = PackageManifest.read(exported_package())
    others = {kind: content for kind, content in manifest.contents.items() if kind != KIND}
    contents = others if runner is None else {**others, KIND: runner}
    return Package(exported_package(), replace(manifest, contents=contents)).program()


def inputs(program: Program, num_rows: int) -> tuple[Tensor, ...]:
    columns, _ = small_encoder().encode(small_rows(num_rows).combine_chunks().to_batches()[0])
    return program.signature.from_columns(columns, num_rows)


@pytest.fixture
def slow_switches() -> Iterator[None]:
    """Let a thread that does not wait keep the lock of Python for a minute."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    yield
    sys.setswitchinterval(interval)


def ticks_during_a_run(program: Program) -> float:
    """Count the steps of another thread while a program runs; the median of 40 runs."""
    given = inputs(program, 20_000)
    times: list[float] = []
    is_done = threading.Event()

    def tick() -> None:
        while not is_done.wait(0.0005):
            times.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    counts: list[int] = []
    with torch.inference_mode():
        for _ in range(40):
            times.clear()
            start = time.perf_counter()
            program.predict(given)
            end = time.perf_counter()
            counts.append(sum(start < moment < end for moment in times))
    is_done.set()
    thread.join()
    return statistics.median(counts)


@pytest.mark.usefixtures("slow_switches")
def test_machine_code_runs_while_other_threads_use_python() -> None:
    content = PackageManifest.read(exported_package()).contents[KIND]
    assert content.file == FILE and (exported_package() / FILE).is_file()
    assert ticks_during_a_run(opened(content)) >= 2
    assert ticks_during_a_run(opened(None)) <= 1  # torch's own binding holds the lock from its first step to its last


def test_runner_of_another_torch_is_not_used_and_scores_are_equal() -> None:
    content = PackageManifest.read(exported_package()).contents[KIND]
    other = replace(content, about={**content.about, "torch": "2.12.0"})
    with_runner, without = opened(content), opened(other)
    given = inputs(without, 7)
    with torch.inference_mode():
        expected = without.predict(given)
        for name, values in with_runner.predict(given).items():
            assert torch.equal(values, expected[name])
    assert [type(program._model).__name__ for program in (with_runner, without)] == [
        "ScriptObject",
        "AOTIModelPackageLoader",
    ]


def test_runner_with_wrong_inputs_raises_an_error_of_python() -> None:
    program = opened(PackageManifest.read(exported_package()).contents[KIND])
    with pytest.raises(RuntimeError, match="expected inputs vector size"):
        program._model.run([torch.zeros(3)])


def test_runner_that_cannot_be_loaded_is_reported_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(program_runner, "_registered", set())
    (tmp_path / FILE).write_bytes(b"no library")
    with caplog.at_level(logging.WARNING):
        assert not program_runner._is_registered(tmp_path / FILE)
    assert "scoring will hold Python's lock" in caplog.text
