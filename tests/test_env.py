"""Cores and memory that a process may use, read from fake trees of /proc and /sys."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tzrec import env

GB = 1 << 30
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
)


def tree(root: Path, files: dict[str, str], mounts: str, cgroups: str, free_gb: int = 8) -> Path:
    """Write a fake /proc and the given files of /sys/fs/cgroup."""
    content = {f"sys/fs/cgroup/{path}": text for path, text in files.items()} | {
        "proc/meminfo": f"MemTotal: 99 kB\nMemAvailable:   {free_gb << 20} kB\nHugePages_Total:    0\n",
        "proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts,
        "proc/self/cgroup": cgroups,
    }
    for path, text in content.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_available_cpus_without_cgroups_is_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5})
    assert env.available_cpus(tmp_path) == 3
    assert env.cpu_quota(tmp_path) == math.inf


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max", 8),
        ("100000", 1),
        ("50000", 1),
        ("140000", 1),
        ("150000", 2),
        ("300000", 3),
        ("790000", 8),
        ("9000000", 8),
    ],
)
def test_available_cpus_with_quota_is_rounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    second = tree(tmp_path / "2", {"job/cpu.max": f"{quota} 100000\n"}, V2, "0::/job\n")
    assert env.available_cpus(second) == cores
    first_quota = "-1" if quota == "max" else quota
    files = {"cpu,cpuacct/job/cpu.cfs_quota_us": f"{first_quota}\n", "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"}
    first = tree(tmp_path / "1", files, V1, "3:cpuset:/\n2:cpu,cpuacct:/job\n0::/\n")
    assert env.available_cpus(first) == cores


def test_cpu_quota_of_parent_limits_child(tmp_path: Path) -> None:
    files = {"cpu.max": "max 100000", "pod/cpu.max": "150000 100000\n", "pod/job/cpu.max": "400000 100000\n"}
    assert env.cpu_quota(tree(tmp_path, files, V2, "0::/pod/job/task\n")) == 1.5


def test_cpu_quota_in_container_is_that_of_its_mount(tmp_path: Path) -> None:
    mounts = "40 31 0:29 /docker/7f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
    files = {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000", "cpu/job/cpu.cfs_quota_us": "50000"}
    files["cpu/job/cpu.cfs_period_us"] = "100000"
    assert env.cpu_quota(tree(tmp_path / "a", files, mounts, "2:cpu:/docker/7f\n")) == 2.5
    assert env.cpu_quota(tree(tmp_path / "b", files, mounts, "2:cpu:/docker/7f/job\n")) == 0.5
    assert env.cpu_quota(tree(tmp_path / "c", files, mounts, "2:cpu:/kubepods/x\n")) == 2.5
    assert env.cpu_quota(tree(tmp_path / "d", files, mounts, "2:cpu:/../other\n")) == 2.5


def test_available_memory_without_limit_is_free_memory(tmp_path: Path) -> None:
    assert env.available_memory(tmp_path) == math.inf
    files = {"job/memory.max": "max\n", "job/memory.high": "max\n", "job/memory.current": f"{GB}\n"}
    assert env.available_memory(tree(tmp_path, files, V2, "0::/job\n")) == 8 * GB
    files = {"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": f"{GB}"}
    assert env.available_memory(tree(tmp_path / "1", files, V1, "4:memory:/\n")) == 8 * GB


def test_available_memory_under_limit_counts_droppable_pages_as_free(tmp_path: Path) -> None:
    stat = f"anon {GB}\nactive_file {GB // 4}\ninactive_file {GB // 2}\n"
    files = {"job/memory.max": f"{3 * GB}\n", "job/memory.current": f"{2 * GB}\n", "job/memory.stat": stat}
    assert env.available_memory(tree(tmp_path / "2", files, V2, "0::/job\n")) == 1.75 * GB
    files["job/memory.high"] = f"{2.5 * GB:.0f}\n"
    assert env.available_memory(tree(tmp_path / "high", files, V2, "0::/job\n")) == 1.25 * GB
    stat = f"inactive_file 7\ntotal_active_file {GB // 4}\ntotal_inactive_file {GB // 2}\n"
    files = {"memory/job/memory.limit_in_bytes": f"{3 * GB}", "memory/job/memory.usage_in_bytes": f"{2 * GB}"}
    files["memory/job/memory.stat"] = stat
    assert env.available_memory(tree(tmp_path / "1", files, V1, "4:memory:/job\n")) == 1.75 * GB


def test_available_memory_above_limit_is_zero(tmp_path: Path) -> None:
    files = {"job/memory.max": "100", "job/memory.current": "900", "memory.max": f"{GB}", "memory.current": "900"}
    assert env.available_memory(tree(tmp_path, files, V2, "0::/job\n")) == 0


def test_available_memory_of_parent_limits_child(tmp_path: Path) -> None:
    files = {"a/memory.max": f"{2 * GB}", "a/memory.current": f"{GB}", "a/b/memory.max": f"{4 * GB}"}
    files["a/b/memory.current"] = "0"
    assert env.available_memory(tree(tmp_path, files, V2, "0::/a/b\n")) == GB


def test_available_memory_of_machine_with_less_than_limit_is_free_memory(tmp_path: Path) -> None:
    files = {"job/memory.max": f"{64 * GB}", "job/memory.current": "0"}
    assert env.available_memory(tree(tmp_path, files, V2, "0::/job\n", free_gb=3)) == 3 * GB


def test_limits_of_this_machine_are_plausible() -> None:
    assert 1 <= env.available_cpus() <= (os.cpu_count() or 1)
    assert env.available_memory() > 1 << 20


@pytest.fixture
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process that has not imported torch, started from a shell without variables of OpenMP."""
    monkeypatch.setattr(env, "_spin", env.OpenMPSpin())
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    return monkeypatch


@pytest.mark.parametrize(("wanted", "num_set"), [(None, 1000), (0, 0), (50_000, 50_000)])
def test_set_openmp_spin_before_torch_sets_variable(
    fresh_process: pytest.MonkeyPatch, wanted: int | None, num_set: int
) -> None:
    env.set_openmp_spin(wanted)
    assert os.environ["GOMP_SPINCOUNT"] == str(num_set)
    assert str(env.openmp_spin()) == f"OpenMP spins {num_set:,} rounds"
    assert not env.openmp_spin().is_late


def test_set_openmp_spin_after_torch_changes_nothing_and_is_late(fresh_process: pytest.MonkeyPatch) -> None:
    fresh_process.setitem(sys.modules, "torch", pytest)
    env.set_openmp_spin(500)
    assert "GOMP_SPINCOUNT" not in os.environ
    assert (env.openmp_spin().is_late, str(env.openmp_spin())) == (True, "OpenMP spins for OpenMP's default")


def test_set_openmp_spin_of_second_run_is_late_only_if_it_differs(fresh_process: pytest.MonkeyPatch) -> None:
    env.set_openmp_spin(500)
    fresh_process.setitem(sys.modules, "torch", pytest)
    env.set_openmp_spin(500)
    assert not env.openmp_spin().is_late
    env.set_openmp_spin(700)
    assert os.environ["GOMP_SPINCOUNT"] == "500"
    assert (env.openmp_spin().is_late, str(env.openmp_spin())) == (True, "OpenMP spins 500 rounds")


def test_set_openmp_spin_with_variable_of_shell_keeps_it(fresh_process: pytest.MonkeyPatch) -> None:
    fresh_process.setattr(env, "_spin", env.OpenMPSpin(shell="OMP_WAIT_POLICY=active"))
    env.set_openmp_spin(500)
    assert "GOMP_SPINCOUNT" not in os.environ
    assert not env.openmp_spin().is_late
    assert str(env.openmp_spin()) == "OpenMP waits as the shell says (OMP_WAIT_POLICY=active)"


def test_load_checked_sets_spin_of_config_that_openmp_reads() -> None:
    program = (
        "from tzrec.config.check import load_checked\n"
        "load_checked('examples/configs/dlrm_criteo.config', {'train_config.openmp_spin_count': 777})\n"
        "import torch\n"
    )
    shell = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", program]
    result = subprocess.run(
        command, env={**shell, "OMP_DISPLAY_ENV": "VERBOSE"}, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr
    if "GOMP_SPINCOUNT" not in result.stderr:
        pytest.skip("this torch does not use GNU OpenMP")
    assert "GOMP_SPINCOUNT = '777'" in result.stderr


@pytest.mark.parametrize(("shell", "pool"), [({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}, "mimalloc")])
def test_arrow_takes_memory_from_the_system_unless_the_shell_chooses(shell: dict[str, str], pool: str) -> None:
    others = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    code = "import tzrec, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    result = subprocess.run(
        [sys.executable, "-c", code], env=others | shell, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.split() == [pool], result.stderr
