"""Weighted sum of expert outputs, with one weight per sample and expert."""

from tzrec.ops.gated_mix import cpu, reference
from tzrec.ops.selection import PYTORCH, KernelSelector, KernelTarget

# The scaled additions are plain torch and run on CUDA too; there they are not measured.
select = KernelSelector(
    reference.gated_mix, {KernelTarget(PYTORCH, device): cpu.gated_mix for device in ("cpu", "cuda")}
)
