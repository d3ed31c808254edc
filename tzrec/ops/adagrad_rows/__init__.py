"""Adagrad on the rows of embedding tables that a step looked up."""

from tzrec.ops.adagrad_rows import cpu, reference
from tzrec.ops.selection import CPU, KernelSelector

select = KernelSelector(reference.adagrad_rows, {CPU: cpu.adagrad_rows})
