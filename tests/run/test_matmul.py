"""Choice of the library of fp32 matrix products by the processor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tzrec.protos import train_pb2
from tzrec.run import matmul
from tzrec.run.matmul import Backend, MatmulRates, Processor, chosen_backend, measure_rates, use_backend

AVX512 = "avx avx2 avx512f avx512dq avx512bw avx512vl"
CPUINFO = """processor\t: 0
vendor_id\t: {vendor}
cpu family\t: 25
model\t\t: 17
model name\t: Some CPU
flags\t\t: fpu {flags}

processor\t: 1
vendor_id\t: other
flags\t\t: fpu
"""


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    use_backend(Backend.DEFAULT)


def precision() -> str:
    return str(torch.backends.mkldnn.matmul.fp32_precision)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("vendor", "flags", "instructions", "backend"),
    [
        ("AuthenticAMD", AVX512, "AVX-512", Backend.ONEDNN),
        ("AuthenticAMD", f"{AVX512} avx512_bf16", "AVX-512", Backend.ONEDNN),
        ("AuthenticAMD", "avx avx2 avx512f", "AVX2", Backend.DEFAULT),
        ("AuthenticAMD", f"{AVX512} amx_tile amx_bf16", "AMX", Backend.DEFAULT),
        ("GenuineIntel", AVX512, "AVX-512", Backend.DEFAULT),
        ("GenuineIntel", f"{AVX512} amx_tile", "AMX", Backend.DEFAULT),
        ("GenuineIntel", "sse4_2", "", Backend.DEFAULT),
    ],
)
def test_processor_read_from_cpuinfo_chooses_library(
    tmp_path: Path, vendor: str, flags: str, instructions: str, backend: Backend
) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO.format(vendor=vendor, flags=flags))
    processor = Processor.read(tmp_path / "cpuinfo")
    assert processor == Processor(vendor, "25", "17", "Some CPU", instructions)
    assert chosen_backend(train_pb2.MATMUL_AUTO, processor) is backend
    assert str(processor) == f"Some CPU 25/17 {instructions}".strip()


def test_processor_without_cpuinfo_uses_default(tmp_path: Path) -> None:
    processor = Processor.read(tmp_path / "none")
    assert (str(processor), processor.backend) == ("unknown processor", Backend.DEFAULT)
    (tmp_path / "arm").write_text("processor\t: 0\nCPU implementer\t: 0x41\n")
    assert Processor.read(tmp_path / "arm") == Processor()


def test_chosen_backend_with_field_of_config_is_that_of_the_config() -> None:
    zen4 = Processor("AuthenticAMD", "25", "17", "AMD EPYC", "AVX-512")
    assert chosen_backend(train_pb2.MATMUL_DEFAULT, zen4) is Backend.DEFAULT
    assert chosen_backend(train_pb2.MATMUL_ONEDNN, Processor()) is Backend.ONEDNN


@pytest.mark.parametrize("backend", Backend)
def test_use_backend_keeps_fp32_accuracy(backend: Backend) -> None:
    use_backend(backend)
    left, right = torch.randn(256, 300), torch.randn(300, 100)
    exact = left.double() @ right.double()
    assert ((left @ right - exact).norm() / exact.norm()).item() < 2e-6


def test_use_backend_that_rounds_uses_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul, "_error", lambda: 4e-3)
    assert not use_backend(Backend.ONEDNN)
    assert precision() == "none"


def test_use_backend_default_after_onednn_switches_back() -> None:
    is_used = use_backend(Backend.ONEDNN)
    assert precision() == ("bf16" if is_used else "none")
    assert use_backend(Backend.DEFAULT)
    assert precision() == "none"


def test_matmul_rates_of_noise_keep_default() -> None:
    rates = MatmulRates({Backend.DEFAULT: 100.0, Backend.ONEDNN: 114.0}, 500.0)
    assert (rates.fastest, rates.is_close) == (Backend.DEFAULT, True)
    assert str(rates) == "fp32 torch's default 100, oneDNN 114; bf16 500 GFLOP/s"
    rates = MatmulRates({Backend.DEFAULT: 100.0, Backend.ONEDNN: 220.0}, 500.0)
    assert (rates.fastest, rates.is_close) == (Backend.ONEDNN, False)
    rates = MatmulRates({Backend.DEFAULT: 100.0}, 500.0)
    assert (rates.fastest, rates.is_close) == (Backend.DEFAULT, False)


def test_measure_rates_leaves_default_in_use() -> None:
    rates = measure_rates(num_rounds=1)
    assert rates.fp32[Backend.DEFAULT] > 0.1
    assert rates.bf16 > 0.1
    assert precision() == "none"
