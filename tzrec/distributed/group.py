"""Process group, and small exchanges between ranks besides those of training. Nothing here unpickles."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tzrec.env import RankInfo
from tzrec.torchrec_adapter import TORCH_FX_LOGGER

_DTYPES = {
    str(dtype): dtype for dtype in (torch.float64, torch.float32, torch.int64, torch.int32, torch.uint8, torch.bool)
}


def init(rank_info: RankInfo) -> torch.device:
    """Create the process group, with NCCL on CUDA and gloo otherwise; without torchrun it has one rank.

    Returns:
        The device of this rank.
    """
    _ignore_warnings()
    device = torch.device("cuda", rank_info.local_rank) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if rank_info.launched:
        dist.init_process_group(backend)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    return device


def _ignore_warnings() -> None:
    """Ignore warnings of torch and torchrec about each other, on which no user can act."""
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch(rec)?\.")
    for name in (TORCH_FX_LOGGER, "torchrec.distributed.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)


def close() -> None:
    """Destroy the process group if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def barrier() -> None:
    """Wait for all ranks."""
    if dist.get_world_size() > 1:
        dist.barrier()


def all_agree(flag: bool) -> bool:
    """True if the flag is set on every rank."""
    return _reduce(int(flag), dist.ReduceOp.MIN) == 1


def any_rank(flag: bool) -> bool:
    """True if the flag is set on at least one rank."""
    return _reduce(int(flag), dist.ReduceOp.MAX) == 1


def _reduce(value: int, op: Any) -> int:
    if dist.get_world_size() == 1:
        return value
    tensor = torch.tensor(value, device=_device())
    dist.all_reduce(tensor, op)
    return int(tensor)


def total(values: Sequence[float]) -> list[float]:
    """Sums over all ranks, in float64; each rank passes the same number of values."""
    if dist.get_world_size() == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=_device())
    dist.all_reduce(tensor)
    return [float(value) for value in tensor]


def broadcast(value: Any) -> Any:
    """Value of rank 0, encoded as JSON; the values of the other ranks are ignored."""
    if dist.get_world_size() == 1:
        return json.loads(json.dumps(value))
    return json.loads(_gather(json.dumps(value).encode() if dist.get_rank() == 0 else b"")[0])


def gather(value: Any) -> list[Any]:
    """Values of all ranks in rank order, encoded as JSON."""
    if dist.get_world_size() == 1:
        return [json.loads(json.dumps(value))]
    return [json.loads(data) for data in _gather(json.dumps(value).encode())]


def gather_states(state: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Named tensors of all ranks in rank order, on the CPU; names and lengths may differ between ranks."""
    local = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    if dist.get_world_size() == 1:
        return [local]
    headers = gather([(name, str(tensor.dtype), list(tensor.shape)) for name, tensor in local.items()])
    payload = b"".join(_bytes(tensor) for tensor in local.values())
    return [_unpack(header, data) for header, data in zip(headers, _gather(payload), strict=True)]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def _unpack(header: Iterable[tuple[str, str, list[int]]], payload: bytes) -> dict[str, Tensor]:
    data, start, state = bytearray(payload), 0, {}
    for name, dtype_name, shape in header:
        dtype = _DTYPES[dtype_name]
        count = torch.Size(shape).numel()
        # frombuffer accepts no empty tensors
        flat = (
            torch.frombuffer(data, dtype=dtype, count=count, offset=start).clone()
            if count
            else torch.empty(0, dtype=dtype)
        )
        state[name] = flat.reshape(shape)
        start += count * dtype.itemsize
    return state


def _gather(data: bytes) -> list[bytes]:
    """Bytes of all ranks in rank order."""
    device = _device()
    lengths = [torch.empty(1, dtype=torch.int64, device=device) for _ in range(dist.get_world_size())]
    dist.all_gather(lengths, torch.tensor([len(data)], device=device))
    longest = max(int(length) for length in lengths)
    if longest == 0:
        return [b"" for _ in lengths]
    padded = torch.zeros(longest, dtype=torch.uint8, device=device)
    padded[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(device) if data else padded[:0]
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return [part[: int(length)].cpu().numpy().tobytes() for part, length in zip(parts, lengths, strict=True)]


def _device() -> torch.device:
    """Device of the tensors that this group's backend exchanges."""
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
