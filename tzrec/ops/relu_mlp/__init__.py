"""A stack of linear layers, each followed by ReLU: the hot path of every tower."""

import torch

from tzrec.ops.relu_mlp import cpu, reference
from tzrec.ops.selection import CPU, KernelSelector

select = KernelSelector(reference.relu_mlp, {CPU: cpu.relu_mlp} if torch.backends.mkldnn.is_available() else {})
