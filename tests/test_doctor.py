"""Checks of the doctor over synthetic facts and over the real machine."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from tzrec import doctor

HEALTHY = doctor.Facts(
    python=(3, 11),
    packages={"torch": "2.13.0+cpu", "torchrec": "1.8.0", "fbgemm-gpu-cpu": "1.8.0"},
    broken={},
    gpu=False,
    gloo="",
    compiler="/usr/bin/g++",
    cores=2,
    threads=2,
    directory=".",
    unwritable="",
    sources=100.0,
    compiled=200.0,
)
PACKAGES = HEALTHY.packages


def test_checks_healthy_facts_have_no_fix() -> None:
    assert [check(HEALTHY).fix for check in doctor.CHECKS] == [""] * len(doctor.CHECKS)


@pytest.mark.parametrize(
    ("change", "name", "text", "fix"),
    [
        ({"python": (3, 9)}, "python", "3.9", "PYTHON=python3.12"),
        ({"python": (3, 14)}, "python", "3.14", "PYTHON=python3.12"),
        (
            {"packages": {**PACKAGES, "fbgemm-gpu": "1.8.0"}},
            "fbgemm",
            "fbgemm-gpu-cpu 1.8.0 and fbgemm-gpu 1.8.0 overwrite each other",
            "pip uninstall -y torchrec fbgemm-gpu fbgemm-gpu-cpu",
        ),
        (
            {"packages": {"torch": "2.13.0", "torchrec": "1.8.0"}},
            "fbgemm",
            "not installed",
            "--no-deps fbgemm-gpu-cpu==1.8.0",
        ),
        ({"packages": {**PACKAGES, "torchrec": "1.9.2"}}, "versions", "torch 2.13 requires 1.8", "torchrec==1.8.0"),
        (
            {"packages": {**PACKAGES, "torch": "2.9.1"}},
            "versions",
            "no torchrec is known",
            "torch==2.13.0",
        ),
        (
            {"packages": {"torch": "2.13.0", "fbgemm-gpu-cpu": "1.8.0"}},
            "versions",
            "torchrec not installed",
            "--no-deps torchrec==1.8.0",
        ),
        (
            {"broken": {"fbgemm_gpu": "OSError: libtorch_cuda.so\nmore"}},
            "imports",
            "fbgemm_gpu: OSError: libtorch_cuda.so",
            "--no-deps",
        ),
        ({"broken": {"tzrec.protos.pipeline_pb2": "VersionError: old"}}, "imports", "VersionError", "make proto"),
        ({"gpu": True}, "gpu", "fbgemm is the CPU build", "make GPU=1 venv"),
        ({"gloo": "unable to resolve hostname"}, "gloo", "unable to resolve", "/etc/hosts"),
        ({"compiler": None}, "compiler", "no C++ compiler", "apt-get install g++"),
        ({"threads": 8}, "threads", "2 cores, 8 threads", "OMP_NUM_THREADS=2"),
        ({"unwritable": "Read-only file system"}, "directory", "Read-only", "--directory"),
        ({"compiled": None}, "protos", "not compiled", "make proto"),
        ({"compiled": 50.0}, "protos", "older than", "make proto"),
    ],
)
def test_checks_one_problem_is_reported_by_one_check(change: dict[str, Any], name: str, text: str, fix: str) -> None:
    facts = dataclasses.replace(HEALTHY, **change)
    bad = {finding.name: finding for finding in (check(facts) for check in doctor.CHECKS) if finding.fix}
    assert list(bad) == [name]
    assert text in bad[name].text
    assert fix in bad[name].fix


def test_protos_without_sources_are_not_compared() -> None:
    assert doctor.protos(dataclasses.replace(HEALTHY, sources=None)).fix == ""


def test_finding_text_has_one_line_and_its_fix() -> None:
    assert str(doctor.Finding("gloo", "fine")) == "ok       gloo       fine"
    assert str(doctor.Finding("gloo", "bad", "do this")) == "problem  gloo       bad\n         fix:       do this"


def test_gather_on_this_machine_finds_no_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = doctor.gather(str(tmp_path))
    assert facts.python == sys.version_info[:2]
    assert (facts.broken, facts.gloo, facts.unwritable) == ({}, "", "")
    assert doctor.versions(facts).fix == ""
    assert doctor.gather(str(tmp_path / "absent")).unwritable == "No such file or directory"


def test_main_with_problem_returns_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "gather", lambda directory: HEALTHY)
    assert doctor.main([]) == 0
    monkeypatch.setattr(doctor, "gather", lambda directory: dataclasses.replace(HEALTHY, compiler=None))
    assert doctor.main([]) == 1
    assert "problem  compiler   no C++ compiler" in capsys.readouterr().out
