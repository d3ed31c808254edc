"""Process group, and small exchanges between ranks besides those of training. Nothing here unpickles."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from tzrec.data.exchange import Exchange
from tzrec.distributed.meeting import WaitNotice, connecting_text, meet
from tzrec.distributed.peers import GRACE_S, LostRankError, Peers
from tzrec.distributed.progress import RankProgress
from tzrec.env import RankInfo
from tzrec.errors import TrainingError
from tzrec.torchrec_adapter import TORCH_FX_LOGGER

T = TypeVar("T")
DEFAULT_TIMEOUT_S = 600.0

_GLOO_MARKS = ("gloo", "Application timeout caused pair closure")
"""Parts of messages of gloo, which has no class for its errors: the path of a source file, but for one message."""

_DTYPES = {
    str(dtype): dtype for dtype in (torch.float64, torch.float32, torch.int64, torch.int32, torch.uint8, torch.bool)
}


_progress = RankProgress()
_peers: Peers | None = None
_store: dist.Store
_timeout = timedelta(seconds=DEFAULT_TIMEOUT_S)


def init(rank_info: RankInfo, timeout_s: float = DEFAULT_TIMEOUT_S) -> torch.device:
    """Create the process group, with NCCL on CUDA and gloo otherwise; without torchrun it has one rank.

    Args:
        rank_info: this process among its peers.
        timeout_s: seconds for which a rank waits for another one, at the start and in every exchange.

    Returns:
        The device of this rank.

    Raises:
        SetupError: rank 0 cannot open the store of the ranks.
        TrainingError: the ranks did not find each other within the time.
        UsageError: the environment variables of torchrun are incomplete.
    """
    global _progress, _store, _timeout
    excepthook = sys.excepthook
    _ignore_warnings()
    device = torch.device("cuda", rank_info.local_rank) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    _progress = RankProgress()
    # NCCL kills the process at its time-out; by then the watch of the ranks has named the cause and ended it
    _timeout = timedelta(seconds=timeout_s + (2 * GRACE_S if backend == "nccl" else 0))
    if rank_info.launched:
        _join(rank_info, backend, timeout_s)
    else:
        _store = dist.HashStore()
        dist.init_process_group(backend, store=_store, rank=0, world_size=1)
    sys.excepthook = excepthook  # torch wraps it, once more for each group, and never restores it
    return device


def _join(rank_info: RankInfo, backend: str, timeout_s: float) -> None:
    """Meet the other ranks and connect to them; a thread logs what this rank waits for."""
    global _peers, _store
    with WaitNotice() as notice:
        meeting = meet(rank_info, timeout_s, notice)
        _store = meeting.store
        if rank_info.world_size > 1:
            _peers = Peers(meeting, rank_info.rank, timeout_s, _progress)
        notice.text = lambda: connecting_text(meeting)
        try:
            dist.init_process_group(
                backend,
                timeout=_timeout,
                world_size=rank_info.world_size,
                rank=rank_info.rank,
                store=meeting.store,
            )
            barrier()
        except BaseException as error:
            lost = close(error)
            if lost:
                raise TrainingError(f"{connecting_text(meeting)}. {lost}") from error
            raise


def _ignore_warnings() -> None:
    """Ignore warnings of torch and torchrec about each other, on which no user can act."""
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch(rec)?\.")
    for name in (TORCH_FX_LOGGER, "torchrec.distributed.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)


def close(error: BaseException | None = None) -> LostRankError | None:
    """Destroy the process group if there is one.

    Args:
        error: that ends the run; the other ranks are informed.

    Returns:
        An error to raise instead, if the given one is that of a lost rank: it names the rank.
    """
    global _peers
    peers, _peers = _peers, None
    lost = None
    if peers:
        is_named = isinstance(error, LostRankError)
        lost = peers.explain(error) if error is not None and not is_named and _is_lost_connection(error) else None
        peers.leave(lost or error)
    if dist.is_initialized():
        dist.destroy_process_group()
    return lost


@contextmanager
def naming_lost_ranks() -> Iterator[None]:
    """Replace the error of an exchange with another rank by one that names the lost rank, where it is raised.

    Raises:
        TrainingError: names the lost ranks.
    """
    try:
        yield
    except Exception as error:
        if _peers and _is_lost_connection(error):
            raise _peers.explain(error) from error
        raise


def _is_lost_connection(error: BaseException | None) -> bool:
    """True for the error of an exchange between ranks, and for one that it caused."""
    while error is not None:
        is_gloo = isinstance(error, RuntimeError) and any(mark in str(error) for mark in _GLOO_MARKS)
        if is_gloo or isinstance(error, dist.DistError):
            return True
        error = error.__cause__
    return False


def new_group() -> dist.ProcessGroup:
    """Create a further group of all ranks over gloo, for a thread: its exchanges do not mix with those of training."""
    return dist.new_group(timeout=_timeout, backend="gloo")


def arrive(place: str, step: int = 0) -> None:
    """Pass a place of the run that all ranks pass in the same order, for the messages about ranks that have not."""
    _progress.arrive(place, step)


def advance() -> None:
    """Count a piece of work that the ranks do in different numbers, so that `wait_for_all` waits for its end."""
    _progress.advance()


def wait_for_all() -> None:
    """Wait for ranks that have more work than this one; without a time limit while they advance.

    Raises:
        TrainingError: a rank is lost, or has not advanced within the time-out.
    """
    arrive("the end of its work")
    if _peers:
        _peers.wait_for_all()


def barrier() -> None:
    """Wait for all ranks."""
    arrive("a barrier")
    if dist.get_world_size() > 1:
        dist.barrier()


def all_agree(flag: bool) -> bool:
    """True if the flag is set on every rank."""
    return _reduce(int(flag), dist.ReduceOp.MIN) == 1


def any_rank(flag: bool) -> bool:
    """True if the flag is set on at least one rank."""
    return _reduce(int(flag), dist.ReduceOp.MAX) == 1


def together(compute: Callable[[], T]) -> T:
    """Result of a computation of this rank; if it fails on one rank it fails on all, so that none waits for it.

    Raises:
        RuntimeError: another rank has failed.
    """
    failure = None
    try:
        result = compute()
    except Exception as error:  # it is raised again below
        failure = error
    if all_agree(failure is None):
        return result
    raise failure or RuntimeError("another rank has failed")


def _reduce(value: int, op: Any) -> int:
    if dist.get_world_size() == 1:
        return value
    arrive("an agreement")
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


def gather_when_ready(value: Any) -> list[Any]:
    """Values of all ranks in rank order; a rank that is late has as much time as it needs, if it calls `advance`."""
    wait_for_all()
    return gather(value)


def broadcast_bytes(data: bytes) -> bytes:
    """Bytes of rank 0; a rank 0 that is late has as much time as it needs, if it calls `advance`."""
    if dist.get_world_size() == 1:
        return data
    wait_for_all()
    arrive("a broadcast")
    device = _device()
    size = torch.tensor([len(data)], device=device)
    dist.broadcast(size, 0)
    content = torch.empty(int(size), dtype=torch.uint8, device=device)
    if dist.get_rank() == 0 and data:
        content.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    dist.broadcast(content, 0)
    return content.cpu().numpy().tobytes()


def exchange(rank_info: RankInfo) -> Exchange:
    """Return the ranks as those that open files together."""
    return Exchange(rank_info.rank, rank_info.world_size, gather_when_ready, advance, broadcast_bytes)


def draw(name: str, count: int = 1) -> int:
    """Draw the next numbers of a counter of this run, which starts at 0; no other rank draws them.

    Unlike the other exchanges it waits for no rank, and any thread may call it.

    Args:
        name: of the counter.
        count: how many numbers to draw.

    Returns:
        the first of them.
    """
    return int(_store.add(f"counter/{name}", count)) - count


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
    arrive("an exchange of values")
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
