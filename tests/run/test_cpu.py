"""Threads, matrix library and allocator of a process."""

from __future__ import annotations

import torch

from tzrec import env
from tzrec.protos import train_pb2
from tzrec.run import cpu


def test_configure_cpu_sets_threads_of_config() -> None:
    before = torch.get_num_threads()
    try:
        line = cpu.configure_cpu(train_pb2.TrainConfig())
        assert torch.get_num_threads() == env.available_cpus() // env.rank_info().local_world_size
        assert f"{torch.get_num_threads()} thread" in line
        config = train_pb2.TrainConfig()
        config.num_threads = 3
        assert "3 threads/rank" in cpu.configure_cpu(config)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_choose_matmul_keeps_fp32_accuracy() -> None:
    for choice in (train_pb2.MATMUL_AUTO, train_pb2.MATMUL_ONEDNN, train_pb2.MATMUL_DEFAULT):
        cpu._choose_matmul(choice)
        left, right = torch.randn(256, 300), torch.randn(300, 100)
        exact = left.double() @ right.double()
        assert ((left @ right).double() - exact).norm() < 2e-6 * exact.norm()


def test_choose_matmul_rejects_library_with_low_accuracy(monkeypatch) -> None:
    monkeypatch.setattr(
        cpu,
        "_measure",
        lambda precision: cpu.MatmulRate(900, 4e-3) if precision == "bf16" else cpu.MatmulRate(100, 4e-7),
    )
    assert "torch's default (100 GFLOP/s" in cpu._choose_matmul(train_pb2.MATMUL_AUTO)


def test_choose_matmul_with_small_gain_keeps_default(monkeypatch) -> None:
    monkeypatch.setattr(cpu, "_measure", lambda precision: cpu.MatmulRate(110 if precision == "bf16" else 100, 3e-7))
    assert "torch's default" in cpu._choose_matmul(train_pb2.MATMUL_AUTO)
