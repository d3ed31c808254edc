"""Checks of the doctor over synthetic facts and over the real machine."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tzrec import doctor, env
from tzrec.errors import UsageError
from tzrec.run.matmul import Backend, MatmulRates, Processor

HEALTHY = doctor.Facts(
    python=(3, 11),
    packages={"torch": "2.13.0+cpu", "torchrec": "1.8.0", "fbgemm-gpu-cpu": "1.8.0"},
    broken={},
    gpu=False,
    is_cuda_torch=False,
    gloo="",
    compiler="/usr/bin/g++",
    cores=2,
    cpu_quota=math.inf,
    memory=8e9,
    threads=2,
    spin=env.OpenMPSpin(1000, 1000),
    openmp=("libgomp.so.1",),
    processor=Processor("AuthenticAMD", "25", "17", "AMD EPYC", "AVX-512"),
    rates=None,
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
            "pip uninstall -y torchrec fbgemm-gpu-cpu fbgemm-gpu",
        ),
        (
            {"packages": {"torch": "2.13.0", "torchrec": "1.8.0"}},
            "fbgemm",
            "not installed",
            "pip uninstall -y torchrec && pip install --no-deps 'torchrec==1.8.*' 'fbgemm-gpu-cpu==1.8.*'",
        ),
        ({"packages": {**PACKAGES, "torchrec": "1.9.2"}}, "versions", "torch 2.13 requires 1.8", "'torchrec==1.8.*'"),
        (
            {"packages": {**PACKAGES, "torch": "2.14.1"}},
            "versions",
            "torch 2.14.1, torchrec 1.8.0, fbgemm-gpu-cpu 1.8.0: torch 2.14 requires 1.9",
            "pip uninstall -y torchrec fbgemm-gpu-cpu && "
            "pip install --no-deps 'torchrec==1.9.*' 'fbgemm-gpu-cpu==1.9.*'",
        ),
        (
            {"packages": {**PACKAGES, "torch": "2.9.1"}},
            "versions",
            "this torch is not supported",
            "pip install 'torch==2.14.*' --extra-index-url https://download.pytorch.org/whl/cpu && "
            "pip install --no-deps 'torchrec==1.9.*' 'fbgemm-gpu-cpu==1.9.*'",
        ),
        (
            {"packages": {"torch": "2.13.0", "fbgemm-gpu-cpu": "1.8.0"}},
            "versions",
            "torchrec not installed",
            "--no-deps 'torchrec==1.8.*'",
        ),
        (
            {"broken": {"fbgemm_gpu": "OSError: libtorch_cuda.so\nmore"}},
            "imports",
            "fbgemm_gpu: OSError: libtorch_cuda.so",
            "--no-deps",
        ),
        ({"broken": {"tzrec.protos.pipeline_pb2": "VersionError: old"}}, "imports", "VersionError", "make proto"),
        ({"gpu": True}, "gpu", "fbgemm is the CPU build", "'fbgemm-gpu==1.8.*'; or hide the GPU"),
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


def finding(name: str, **change: Any) -> doctor.Finding:
    facts = dataclasses.replace(HEALTHY, **change)
    return next(found for found in (check(facts) for check in doctor.CHECKS) if found.name == name)


@pytest.mark.parametrize("release", doctor.RELEASES.items(), ids=str)
def test_versions_of_supported_release_fit(release: tuple[str, str]) -> None:
    torch, partner = release
    packages = {"torch": f"{torch}.1", "torchrec": f"{partner}.2", "fbgemm-gpu-cpu": f"{partner}.0"}
    assert finding("versions", packages=packages).fix == ""


def test_gpu_of_cuda_torch_without_gpu_names_smaller_build() -> None:
    assert finding("gpu").text == "none; everything runs on the CPU"
    found = finding("gpu", is_cuda_torch=True)
    assert found.text.endswith("one without it is 5 GB smaller: https://download.pytorch.org/whl/cpu")
    assert found.fix == ""


def test_gather_beside_torch_of_another_release_imports_no_operators(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    imported: list[str] = []
    monkeypatch.setattr(doctor, "_installed", lambda: {**PACKAGES, "torch": "2.14.1"})
    monkeypatch.setattr(doctor, "import_module", imported.append)
    assert doctor.gather(str(tmp_path)).broken == {}
    assert imported == [module for module in doctor.MODULES if module not in ("fbgemm_gpu", "torchrec")]


def test_main_with_fix_runs_commands_and_checks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    facts = dataclasses.replace(HEALTHY, packages={"torch": "2.13.0", "fbgemm-gpu-cpu": "1.8.0"})

    def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
        ran.append(command[2:] if command[0] == sys.executable else command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(doctor, "gather", lambda *arguments: facts)
    monkeypatch.setattr(subprocess, "run", run)
    assert doctor.main(["--fix", "--directory", "models"]) == 0
    assert ran == [
        ["pip", "uninstall", "-y", "fbgemm-gpu-cpu"],
        ["pip", "install", "--no-deps", "torchrec==1.8.*", "fbgemm-gpu-cpu==1.8.*"],
        ["tzrec", "doctor", "--directory", "models"],
    ]


def test_reinstall_that_fails_names_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command: subprocess.CompletedProcess(command, 3))
    facts = dataclasses.replace(HEALTHY, packages={"torch": "2.14.1"})
    with pytest.raises(UsageError, match=r"pip install --no-deps 'torchrec==1.9.\*' .* failed with status 3"):
        doctor.reinstall(facts)


def test_threads_under_quota_are_no_problem() -> None:
    found = finding("threads", cores=1, cpu_quota=1.25, threads=2)
    assert (found.text, found.fix) == ("a CPU quota of 1.25 cores, so training takes 1 of them", "")


def test_memory_shows_what_is_available() -> None:
    assert finding("memory").text == "8.0 GB available"
    assert finding("memory", memory=math.inf).text == "not known on this system"


@pytest.mark.parametrize(
    ("shell", "has_advice"),
    [
        ("", False),
        ("OMP_WAIT_POLICY=passive", False),
        ("OMP_WAIT_POLICY=ACTIVE", True),
        ("GOMP_SPINCOUNT=500", False),
        ("GOMP_SPINCOUNT=300000", True),
        ("GOMP_SPINCOUNT=infinite", True),
        ("OMP_WAIT_POLICY=active GOMP_SPINCOUNT=0", False),
    ],
)
def test_openmp_shows_waiting_in_force_and_advises(shell: str, has_advice: bool) -> None:
    found = finding("openmp", spin=env.OpenMPSpin(1000, None if shell else 1000, shell))
    assert found.text.startswith(f"OpenMP waits as the shell says ({shell})" if shell else "OpenMP spins 1,000 rounds")
    assert ("faster without these variables" in found.text) is has_advice
    assert not found.fix


def test_openmp_of_another_library_names_its_variable() -> None:
    text = finding("openmp", openmp=("libgomp.so.1", "libiomp5.so")).text
    assert text.startswith("libiomp5.so, which ignores train_config.openmp_spin_count")
    assert "KMP_BLOCKTIME=0" in text


def test_matmul_shows_library_of_table() -> None:
    found = finding("matmul")
    assert found.text == "fp32 matrix products by oneDNN on AMD EPYC 25/17 AVX-512"
    assert not found.fix


@pytest.mark.parametrize(
    ("onednn", "fix"), [(250.0, ""), (120.0, ""), (110.0, ""), (50.0, "train_config.cpu_matmul: MATMUL_DEFAULT")]
)
def test_matmul_measured_compares_with_table(onednn: float, fix: str) -> None:
    found = finding("matmul", rates=MatmulRates({Backend.DEFAULT: 100.0, Backend.ONEDNN: onednn}, 300.0))
    assert f"; measured: fp32 torch's default 100, oneDNN {onednn:.0f}; bf16 300 GFLOP/s" in found.text
    assert found.fix == fix


def test_matmul_of_unknown_processor_with_faster_onednn_names_field() -> None:
    rates = MatmulRates({Backend.DEFAULT: 100.0, Backend.ONEDNN: 180.0}, 300.0)
    assert finding("matmul", processor=Processor(), rates=rates).fix == "train_config.cpu_matmul: MATMUL_ONEDNN"


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
    assert facts.rates is None
    assert facts.processor == Processor.read()
    if sys.platform == "linux":
        assert len(facts.openmp) >= 1
    assert doctor.gather(str(tmp_path / "absent")).unwritable == "No such file or directory"


def test_main_with_problem_returns_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "gather", lambda directory, should_measure: HEALTHY)
    assert doctor.main([]) == 0
    monkeypatch.setattr(doctor, "gather", lambda *arguments: dataclasses.replace(HEALTHY, compiler=None))
    assert doctor.main([]) == 1
    assert "problem  compiler   no C++ compiler" in capsys.readouterr().out
