"""Zero random elements and scale the others."""

from tzrec.ops.dropout import cpu, reference
from tzrec.ops.selection import CPU, KernelSelector

select = KernelSelector(reference.dropout, {CPU: cpu.dropout})
