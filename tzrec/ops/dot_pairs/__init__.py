"""Dot products between the vectors of a row, followed by some of the vectors: DLRM's interaction."""

from tzrec.ops.dot_pairs import cpu, reference
from tzrec.ops.selection import CPU, KernelSelector

select = KernelSelector(reference.dot_pairs, {CPU: cpu.dot_pairs})
