"""Library of fp32 matrix products, chosen by the processor from a table, so that two runs choose alike.

torch computes fp32 products with its default library, on x86 MKL, or with oneDNN. bf16 products are not a choice: torch
always computes them with oneDNN, and without it a hundred times slower. `tzrec doctor --measure_matmul` measures anew.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import torch

from tzrec.protos import train_pb2

_FP32_ERROR = 2e-6
"""Relative error of an fp32 product of this size: 2e-7 with oneDNN, 4e-7 with MKL; bf16 inputs give 4e-3."""
_MIN_GAIN = 1.15
"""Smallest ratio of two measured rates that is not taken for noise."""
_INSTRUCTIONS = (
    ("AMX", ("amx_tile",)),
    ("AVX-512", ("avx512f", "avx512bw", "avx512dq", "avx512vl")),
    ("AVX2", ("avx2",)),
)


class Backend(Enum):
    """Library of fp32 matrix products; the values are written into checkpoints."""

    DEFAULT = "torch's default"
    ONEDNN = "oneDNN"

    @property
    def field(self) -> str:
        """Value of `train_config.cpu_matmul` that selects this library."""
        return "MATMUL_ONEDNN" if self is Backend.ONEDNN else "MATMUL_DEFAULT"


# (vendor, instructions) -> library; all others use the default. Measured on an EPYC of family 25 (Zen 4): MKL takes a
# slow path on AMD, 130 to 177 GFLOP/s on two cores against 320 to 404. oneDNN is no choice for processors with AMX,
# where torch's switch to it also rounds the inputs to bf16, nor without AVX-512, where the switch does nothing.
TABLE = {("AuthenticAMD", "AVX-512"): Backend.ONEDNN}


@dataclass(frozen=True)
class Processor:
    """Model of the processor.

    Attributes:
        vendor: as in /proc/cpuinfo, `AuthenticAMD` or `GenuineIntel`; empty if it is not known.
        family: number of the family.
        model: number of the model.
        name: for people.
        instructions: the newest of "AMX", "AVX-512" and "AVX2" that it has, or empty.
    """

    vendor: str = ""
    family: str = ""
    model: str = ""
    name: str = ""
    instructions: str = ""

    @classmethod
    def read(cls, cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
        """Read the first processor of a file in the format of /proc/cpuinfo; an empty one if there is none."""
        if not cpuinfo.exists():
            return cls()
        pairs = (line.partition(":") for line in cpuinfo.read_text().split("\n\n")[0].splitlines())
        value_by_name = {name.strip(): value.strip() for name, _, value in pairs}
        flags = set(value_by_name.get("flags", "").split())
        instructions = next((newest for newest, needed in _INSTRUCTIONS if flags.issuperset(needed)), "")
        vendor, family, model, name = (
            value_by_name.get(key, "") for key in ("vendor_id", "cpu family", "model", "model name")
        )
        return cls(vendor, family, model, name, instructions)

    @property
    def backend(self) -> Backend:
        """Library of the table for this processor."""
        has_onednn = torch.backends.mkldnn.is_available()
        return TABLE.get((self.vendor, self.instructions), Backend.DEFAULT) if has_onednn else Backend.DEFAULT

    def __str__(self) -> str:
        number = f"{self.family}/{self.model}" if self.family else ""
        return " ".join(filter(None, (self.name or self.vendor or "unknown processor", number, self.instructions)))


def chosen_backend(field: int, processor: Processor) -> Backend:
    """Return the library that `train_config.cpu_matmul` names, by default that of the table."""
    if field == train_pb2.MATMUL_AUTO:
        return processor.backend
    return Backend.ONEDNN if field == train_pb2.MATMUL_ONEDNN else Backend.DEFAULT


def use_backend(backend: Backend) -> bool:
    """Compute fp32 products of this process with a library; return False, and use the default, if it rounds to bf16."""
    if backend is Backend.DEFAULT or not torch.backends.mkldnn.is_available():
        _set_precision("none")
        return backend is Backend.DEFAULT
    _set_precision("bf16")  # routes fp32 products to oneDNN, which without AMX still computes them in fp32
    if _error() < _FP32_ERROR:
        return True
    _set_precision("none")
    return False


@dataclass(frozen=True)
class MatmulRates:
    """Measured rates of matrix products in GFLOP/s.

    Attributes:
        fp32: rate of fp32 products by library; without oneDNN if that rounds to bf16.
        bf16: rate of bf16 products.
    """

    fp32: dict[Backend, float]
    bf16: float

    @property
    def gain(self) -> float:
        """Rate of oneDNN divided by that of the default; 0 without oneDNN."""
        return self.fp32.get(Backend.ONEDNN, 0) / self.fp32[Backend.DEFAULT]

    @property
    def fastest(self) -> Backend:
        """The default unless oneDNN is clearly faster."""
        return Backend.ONEDNN if self.gain > _MIN_GAIN else Backend.DEFAULT

    @property
    def is_close(self) -> bool:
        """True if the rates differ no more than noise."""
        return 1 / _MIN_GAIN < self.gain < _MIN_GAIN

    def __str__(self) -> str:
        rates = ", ".join(f"{backend.value} {rate:,.0f}" for backend, rate in self.fp32.items())
        return f"fp32 {rates}; bf16 {self.bf16:,.0f} GFLOP/s"


def measure_rates(num_rounds: int = 20) -> MatmulRates:
    """Measure the best rate of each library over some rounds in turns; takes under a second."""
    left, right = torch.randn(4096, 512), torch.randn(512, 256)
    pairs: dict[Backend | None, tuple[torch.Tensor, torch.Tensor]] = {
        backend: (left, right) for backend in Backend if use_backend(backend)
    }
    pairs[None] = (left.bfloat16(), right.bfloat16())
    best = dict.fromkeys(pairs, float("inf"))
    for _ in range(num_rounds):
        for backend, (a, b) in pairs.items():
            _set_precision("bf16" if backend is Backend.ONEDNN else "none")
            a @ b  # the first product after a switch is slower
            start = time.perf_counter()
            a @ b
            best[backend] = min(best[backend], time.perf_counter() - start)
    _set_precision("none")
    rates = {backend: 2 * left.numel() * right.shape[1] / seconds / 1e9 for backend, seconds in best.items()}
    bf16 = rates.pop(None)
    return MatmulRates({backend: rate for backend, rate in rates.items() if backend is not None}, bf16)


def _set_precision(precision: str) -> None:
    torch.backends.mkldnn.matmul.fp32_precision = precision  # type: ignore[attr-defined]


def _error() -> float:
    """Return the relative error of an fp32 product."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(256, 256, generator=generator) for _ in range(2))
    exact = left.double() @ right.double()
    return (((left @ right) - exact).norm() / exact.norm()).item()
