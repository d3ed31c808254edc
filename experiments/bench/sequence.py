"""Measure sequence encoders beside padded versions in plain torch, on rows of up to 50, 500 and 5,000 elements.

    python experiments/bench/sequence.py           # as in `make bench-sequence`; three minutes on one core
    python experiments/bench/sequence.py --encoders din sim --rounds 3

A step is lookup, encoder and backward pass, on one core; the figures are medians of CPU time, and both versions take
turns. `full` rows all have the largest length, `mixed` rows have 1 to that many elements, a quarter of it on average.
The plain version gets ids that are padded already. Memory is what one step adds to that of a new process.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from record import record
from torch import Tensor, nn
from torch.nn import functional

from tzrec.modules.din import DIN
from tzrec.modules.eta import ETA
from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.sdim import SDIM
from tzrec.modules.sim import SIM

ELEMENTS, LENGTHS, DIM, ITEMS, CATEGORIES = 50_000, (50, 500, 5000), 32, 10_000, 50
ETA_K, BITS = 48, 48
VERSIONS = ("tzrec", "plain")


@dataclass(frozen=True)
class Case:
    """Rows of ids: candidates `(B,)`, elements `(T,)` and the same padded with the id of a zero vector, `(B, L)`."""

    candidates: Tensor
    elements: Tensor
    padded: Tensor
    lengths: Tensor


def make_case(longest: int, kind: str) -> Case:
    """Draw rows; the number of rows times the largest length is `ELEMENTS`."""
    generator = torch.Generator().manual_seed(longest)
    num_rows = ELEMENTS // longest
    lengths = torch.full((num_rows,), longest)
    if kind == "mixed":
        lengths = (longest * torch.rand(num_rows, generator=generator) ** 3).long().clamp(min=1)
        lengths[0] = longest
    elements = torch.randint(ITEMS, (int(lengths.sum()),), generator=generator)
    padded = torch.full((num_rows, longest), ITEMS)
    padded[torch.arange(longest) < lengths.unsqueeze(1)] = elements
    return Case(torch.randint(ITEMS, (num_rows,), generator=generator), elements, padded, lengths)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over dimension 1 of `(B, L)` or `(B, L, H)`; zero where the mask `(B, L)` is False."""
    mask = mask if scores.dim() == 2 else mask.unsqueeze(2)
    return scores.masked_fill(~mask, -1e9).softmax(1) * mask


def plain_din(module: DIN, query: Tensor, sequence: Tensor, mask: Tensor, case: Case) -> Tensor:
    expanded = query.unsqueeze(1).expand_as(sequence)
    x = torch.cat([expanded, sequence, expanded - sequence, expanded * sequence], 2)  # (B, L, 4 D)
    for layer in module.mlp.layers:
        x = functional.relu(functional.linear(x, layer.linear.weight, layer.linear.bias))
    weights = masked_softmax(module.linear(x).squeeze(2), mask)  # (B, L)
    return torch.bmm(weights.unsqueeze(1), sequence).squeeze(1)


def first_matches(score: Tensor, sequence: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The elements with the largest scores and which of them exist: `(B, K, D)`, `(B, K)`."""
    at = score.masked_fill(~mask, -1e9).topk(min(count, score.shape[1]), 1).indices  # (B, K)
    return sequence.gather(1, at.unsqueeze(2).expand(-1, -1, sequence.shape[2])), mask.gather(1, at)


def multi_head(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Attention of one query, with values of each head or of all: `(B, H * d)`, `(B, K, H * d)` -> `(B, H * D)`."""
    scores = (query.unsqueeze(1) * key).unflatten(2, (heads, -1)).sum(3)  # (B, K, H)
    weights = masked_softmax(scores, mask)
    value = value if value.dim() == 4 else value.unsqueeze(2)
    return (weights.unsqueeze(3) * value).sum(1).flatten(1)


def plain_sim(module: SIM, query: Tensor, sequence: Tensor, mask: Tensor, case: Case) -> Tensor:
    is_match = mask & (case.padded % CATEGORIES == (case.candidates % CATEGORIES).unsqueeze(1))
    position = torch.arange(sequence.shape[1])
    kept, is_kept = first_matches(-position.expand_as(mask).float(), sequence, is_match, module.max_matches)
    return multi_head(module.query(query), module.key(kept), kept, is_kept, module.num_heads)


def plain_eta(module: ETA, query: Tensor, sequence: Tensor, mask: Tensor, case: Case) -> Tensor:
    projections, inner = module.codes.projections, module.attention
    different = (query.detach() @ projections > 0).unsqueeze(1) != (sequence.detach() @ projections > 0)  # (B, L, m)
    position = torch.arange(sequence.shape[1]) / sequence.shape[1]
    kept, is_kept = first_matches(-(different.sum(2) + position), sequence, mask, module.top_k)
    scaled = inner.query(query) / math.sqrt(inner.out_dim // inner.num_heads)
    value = inner.value(kept).unflatten(2, (inner.num_heads, -1))
    attended: Tensor = inner.output(multi_head(scaled, inner.key(kept), value, is_kept, inner.num_heads))
    return attended


def plain_sdim(module: SDIM, query: Tensor, sequence: Tensor, mask: Tensor, case: Case) -> Tensor:
    projections = module.codes.projections
    same = (query.detach() @ projections > 0).unsqueeze(1) == (sequence.detach() @ projections > 0)  # (B, L, m)
    shared = same.unflatten(2, (-1, module.bits_per_signature)).all(3) & mask.unsqueeze(2)  # (B, L, G)
    return functional.normalize(torch.bmm(shared.float().mT, sequence), dim=2).mean(1)


Plain = Callable[[Any, Tensor, Tensor, Tensor, Case], Tensor]
ENCODERS: dict[str, tuple[Callable[[], Any], Plain]] = {
    "din": (lambda: DIN(DIM, DIM, {"hidden_units": [64, 32]}), plain_din),
    "sim": (lambda: SIM(DIM, DIM, 200, 16, 2), plain_sim),
    "eta": (lambda: ETA(DIM, DIM, ETA_K, BITS, 64, 4), plain_eta),
    "sdim": (lambda: SDIM(DIM, DIM, BITS, 3), plain_sdim),
}


class Step:
    """One step of an encoder in both versions, on the same weights."""

    def __init__(self, name: str, longest: int, kind: str) -> None:
        torch.manual_seed(1)
        make, self._plain = ENCODERS[name]
        self.module, self.case, self._is_sim = make(), make_case(longest, kind), name == "sim"
        self.table = nn.Parameter(torch.cat([torch.randn(ITEMS, DIM), torch.zeros(1, DIM)]))

    def tzrec(self) -> Tensor:
        """Encode the jagged ids."""
        case = self.case
        sequence = JaggedSequence.of(functional.embedding(case.elements, self.table), case.lengths)
        query = functional.embedding(case.candidates, self.table)
        if not self._is_sim:
            encoded: Tensor = self.module(query, sequence)
            return encoded
        is_match = case.elements % CATEGORIES == sequence.of_row(case.candidates % CATEGORIES)
        matched: Tensor = self.module(query, sequence, is_match)
        return matched

    def plain(self) -> Tensor:
        """Encode the padded ids."""
        case = self.case
        sequence = functional.embedding(case.padded, self.table, padding_idx=ITEMS)  # (B, L, D)
        mask = torch.arange(sequence.shape[1]) < case.lengths.unsqueeze(1)
        return self._plain(self.module, functional.embedding(case.candidates, self.table), sequence, mask, case)

    def seconds(self, version: str) -> float:
        """CPU time of a step."""
        start = time.process_time()
        getattr(self, version)().sum().backward()
        return time.process_time() - start


def memory_mb(name: str, longest: int, kind: str, version: str) -> float:
    """Memory that a step of one version adds, in a process of its own."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_added_memory, (name, longest, kind, version))


def _added_memory(name: str, longest: int, kind: str, version: str) -> float:
    step = Step(name, longest, kind)
    before = _status_mb("VmRSS")
    step.seconds(version)
    return _status_mb("VmHWM") - before


def _status_mb(key: str) -> float:
    match = re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


def bench(name: str, longest: int, kind: str, rounds: int) -> dict[str, float]:
    """Check that both versions agree and measure the time of their steps."""
    step = Step(name, longest, kind)
    torch.testing.assert_close(step.tzrec(), step.plain(), rtol=1e-3, atol=1e-4)
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for version in VERSIONS:
            times[version].append(step.seconds(version))
    return {version: statistics.median(times[version]) for version in VERSIONS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", nargs="+", choices=sorted(ENCODERS), default=list(ENCODERS))
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cases = list(itertools.product(args.encoders, LENGTHS, ("full", "mixed")))
    # all memory first: a forked process has the memory of this one, which is still small
    memory = {case: {version: memory_mb(*case, version) for version in VERSIONS} for case in cases}
    print(f"{'':<20} {'ms/step':>9} {'plain':>9} {'ratio':>7} {'MB':>9} {'plain':>9} {'ratio':>7}")
    figures: dict[str, float] = {}
    for case in cases:
        seconds, (mb, plain_mb) = bench(*case, args.rounds), memory[case].values()
        times = [1e3 * seconds[version] for version in VERSIONS]
        ratio, key = times[1] / times[0], "{}_{}_{}".format(*case)
        cells = f"{times[0]:>9.1f} {times[1]:>9.1f} {ratio:>7.2f} {mb:>9.0f} {plain_mb:>9.0f} {plain_mb / mb:>7.2f}"
        print(f"{case[0]:<6} {case[1]:>6,} {case[2]:<6} {cells}", flush=True)
        figures |= {f"{key}_ratio": ratio, f"{key}_mb": mb, f"{key}_plain_mb": plain_mb}
    record("sequence", figures)


if __name__ == "__main__":
    main()
