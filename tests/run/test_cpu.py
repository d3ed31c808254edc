"""Threads and matrix library of a process, and those of a resumed checkpoint."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from tzrec import env
from tzrec.protos import train_pb2
from tzrec.run import cpu, matmul
from tzrec.run.cpu import CpuSettings, configure_cpu, follow_checkpoint
from tzrec.run.matmul import Backend, Processor

ZEN4 = Processor("AuthenticAMD", "25", "17", "AMD EPYC", "AVX-512")
XEON = Processor("GenuineIntel", "6", "143", "Xeon", "AMX")
SETTINGS = CpuSettings(2, math.inf, Backend.ONEDNN, "table", ZEN4, is_memory_kept=True)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    matmul.use_backend(Backend.DEFAULT)
    cpu._warn_of_late_spin.cache_clear()


def config(text_choice: int = train_pb2.MATMUL_AUTO) -> train_pb2.TrainConfig:
    message = train_pb2.TrainConfig()
    message.cpu_matmul = text_choice  # type: ignore[assignment]
    return message


def test_configure_cpu_sets_threads_of_config() -> None:
    settings = configure_cpu(config())
    assert torch.get_num_threads() == settings.num_threads == env.available_cpus()
    assert f"{settings.num_threads} thread" in str(settings)
    message = config()
    message.num_threads = 3
    assert "3 threads/rank, " in str(configure_cpu(message))
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("cores", "ranks", "threads"), [(8, 1, 8), (8, 2, 4), (7, 2, 3), (1, 2, 1)])
def test_configure_cpu_shares_cores_among_ranks(
    monkeypatch: pytest.MonkeyPatch, cores: int, ranks: int, threads: int
) -> None:
    monkeypatch.setattr(env, "available_cpus", lambda: cores)
    monkeypatch.setattr(env, "rank_info", lambda: env.RankInfo(0, ranks, 0, ranks, launched=True))
    assert configure_cpu(config()).num_threads == threads


def test_cpu_settings_text_names_quota_and_reason() -> None:
    assert str(SETTINGS).startswith("2 threads/rank, fp32 matrix products by oneDNN (table), OpenMP ")
    assert str(SETTINGS).endswith(", freed memory kept")
    quota = replace(SETTINGS, num_threads=1, cpu_quota=1.25, is_memory_kept=False)
    assert str(quota).startswith("1 thread/rank (CPU quota of 1.25 cores), ")
    assert "freed memory" not in str(quota)


def test_configure_cpu_with_another_default_is_that_of_the_config() -> None:
    settings = configure_cpu(config(train_pb2.MATMUL_DEFAULT))
    assert (settings.backend, settings.origin) == (Backend.DEFAULT, "train_config.cpu_matmul")
    assert torch.backends.mkldnn.matmul.fp32_precision == "none"  # type: ignore[attr-defined]


def test_configure_cpu_reads_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> float:
        raise AssertionError("the choice depends on a measurement")

    monkeypatch.setattr(matmul.time, "perf_counter", fail)
    monkeypatch.setattr(matmul, "measure_rates", fail)
    assert configure_cpu(config()).backend is configure_cpu(config()).backend is Processor.read().backend


def test_configure_cpu_without_fp32_accuracy_uses_default(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(matmul, "_error", lambda: 4e-3)
    with caplog.at_level(logging.WARNING, "tzrec"):
        settings = configure_cpu(config(train_pb2.MATMUL_ONEDNN))
    assert settings.backend is Backend.DEFAULT
    assert "torch's default instead of oneDNN (train_config.cpu_matmul)" in caplog.text
    assert "rounds to bf16" in caplog.text


def test_follow_checkpoint_keeps_its_library(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(cpu, "use_backend", lambda backend: True)
    saved = replace(SETTINGS, backend=Backend.DEFAULT).to_json()
    with caplog.at_level(logging.INFO, "tzrec"):
        settings = follow_checkpoint(SETTINGS, config(), saved)
    assert (settings.backend, settings.origin) == (Backend.DEFAULT, "as in the checkpoint")
    assert settings.to_json() == saved
    assert caplog.text == ""
    assert follow_checkpoint(SETTINGS, config(), {}) is SETTINGS


def test_follow_checkpoint_on_another_processor_keeps_library_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cpu, "use_backend", lambda backend: True)
    here = CpuSettings(4, math.inf, Backend.DEFAULT, "table", XEON, is_memory_kept=True)
    with caplog.at_level(logging.INFO, "tzrec"):
        settings = follow_checkpoint(here, config(), SETTINGS.to_json())
    assert settings.backend is Backend.ONEDNN
    assert "another processor, AMD EPYC 25/17 AVX-512; on this one, Xeon 6/143 AMX" in caplog.text
    assert "trained with 2 threads/rank, this run has 4" in caplog.text


def test_follow_checkpoint_where_its_library_rounds_uses_default_and_warns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cpu, "use_backend", lambda backend: False)
    here = CpuSettings(2, math.inf, Backend.DEFAULT, "table", XEON, is_memory_kept=True)
    with caplog.at_level(logging.WARNING, "tzrec"):
        settings = follow_checkpoint(here, config(), SETTINGS.to_json())
    assert settings.backend is Backend.DEFAULT
    assert "torch's default instead of oneDNN (as in the checkpoint): on this processor, Xeon 6/143 AMX" in caplog.text


def test_follow_checkpoint_with_library_of_config_uses_that_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    message = config(train_pb2.MATMUL_DEFAULT)
    here = replace(SETTINGS, backend=Backend.DEFAULT, origin="train_config.cpu_matmul")
    with caplog.at_level(logging.INFO, "tzrec"):
        assert follow_checkpoint(here, message, SETTINGS.to_json()) is here
    assert "replaces oneDNN of the checkpoint by torch's default" in caplog.text


def test_follow_checkpoint_of_unknown_library_keeps_that_of_this_machine() -> None:
    assert follow_checkpoint(SETTINGS, config(), {"fp32_matmul": "of the future"}).backend is Backend.ONEDNN


def test_configure_cpu_after_import_of_torch_warns_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(env, "openmp_spin", lambda: env.OpenMPSpin(num_wanted=1000))
    with caplog.at_level(logging.WARNING, "tzrec"):
        configure_cpu(config())
        configure_cpu(config())
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("cpu    OpenMP spins for OpenMP's default, not 1,000: torch was imported before")
    assert "GOMP_SPINCOUNT=1000" in message
