"""Checkpoints that cannot be written, or that are damaged on the disk."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.chaos.fault import Outcome, fault
from tests.chaos.workspace import Workspace, checkpoints, outcome


@fault("disk full while saving: the run stops, and goes on once there is space")
def disk_full_while_saving(workspace: Workspace) -> Outcome:
    disk = workspace.directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)], check=True)
    try:
        data = workspace.write_rows("data", [1000])
        config = workspace.write_config(train=data, num_rows=1000, save_steps=2, model_dir=disk / "model")
        stopped = workspace.train(config)
        message = stopped.assert_refused("No space left on device", "failed 3 times in a row")
        kept = checkpoints(disk / "model")
        assert kept and not list((disk / "model").glob("*.tmp"))
        shutil.copytree(disk / "model", workspace.directory / "model")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    resumed = workspace.write_config(train=data, num_rows=1000, save_steps=2)
    workspace.train(resumed, "--continue_train").assert_succeeded()
    return outcome(workspace.directory / "model", 1000, message=message)


def _train_with_file_limit(workspace: Workspace, ranks: int, limit_kb: int) -> Outcome:
    """Train where no file may be larger than a limit, which the tensors of a checkpoint exceed."""
    data = workspace.write_rows("data", [1000])
    config = workspace.write_config(train=data, num_rows=20_000, save_steps=100)
    result = workspace.train(
        config, ranks=ranks, wrapper=["bash", "-c", f'ulimit -f {limit_kb}; trap "" XFSZ; exec "$@"', "limited"]
    )
    assert result.status != 0, result.output[-3000:]  # torchrun prints a traceback of its own
    message = result.line_with("the last checkpoint could not be saved")
    assert "File too large" in message, result.output[-3000:]
    assert not list((workspace.directory / "model").glob("model.ckpt-*"))
    return Outcome(message=message)


@fault("every file too large to be written, one rank: no success without a checkpoint")
def file_limit_on_one_rank(workspace: Workspace) -> Outcome:
    return _train_with_file_limit(workspace, 1, 200)


@fault("every file too large to be written, two ranks: no success without a checkpoint")
def file_limit_on_two_ranks(workspace: Workspace) -> Outcome:
    return _train_with_file_limit(workspace, 2, 100)


@fault("newest checkpoint damaged, keep_checkpoint_max: 1: a valid one is always left", limit_s=200)
def newest_damaged_with_one_kept(workspace: Workspace) -> Outcome:
    data = workspace.write_rows("data", [1000])
    first = workspace.write_config(train=data, num_rows=1000, save_steps=4, keep=2)
    model_dir = workspace.directory / "model"
    assert workspace.train_killed_at(first, (model_dir / "model.ckpt-8").exists)
    flip(workspace, checkpoints(model_dir)[-1] / "optimizer" / "__0_0.distcp")
    second = workspace.write_config(train=data, num_rows=1000, save_steps=3, keep=1)
    workspace.train_killed_at(second, (model_dir / "model.ckpt-9").exists, "--continue_train")
    log = (workspace.directory / "killed.log").read_text()
    assert "model.ckpt-8 is damaged and was renamed to model.ckpt-8.damaged" in log, log[-3000:]
    result = workspace.train(second, "--continue_train").assert_succeeded()
    return outcome(model_dir, 1000, message=result.line_with("start"))


def flip(workspace: Workspace, path: Path) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[workspace.random.randrange(len(data))] ^= 1 << workspace.random.randrange(8)
    path.write_bytes(data)


def truncate(workspace: Workspace, path: Path) -> None:
    """Cut a file short."""
    path.write_bytes(path.read_bytes()[: workspace.random.randrange(path.stat().st_size)])


def nest(workspace: Workspace, path: Path) -> None:
    """Replace a file by deeply nested JSON."""
    path.write_bytes(b"[" * 100_000)


def replace_by_directory(workspace: Workspace, path: Path) -> None:
    """Replace a file by a directory."""
    path.unlink()
    path.mkdir()


def delete(workspace: Workspace, path: Path) -> None:
    """Delete a file."""
    path.unlink()


DAMAGES: list[Callable[[Workspace, Path], None]] = [flip, truncate, nest, replace_by_directory, delete]


@fault("each file of the newest checkpoint damaged in each way: the previous one is read", times=30, short=True)
def files_damaged(workspace: Workspace) -> Outcome:
    from tzrec.checkpoint import store

    older, newer = _two_checkpoints(workspace.directory / "model")
    names = sorted(path.relative_to(newer) for path in newer.rglob("*") if path.is_file())
    for name in names:
        for damage in DAMAGES:
            backup = workspace.directory / "backup"
            shutil.copytree(newer, backup)
            damage(workspace, newer / name)
            latest = store.latest(newer.parent)
            assert latest is not None and latest.path == older, f"{damage.__name__} of {name} was accepted"
            shutil.rmtree(newer)
            backup.rename(newer)
    return Outcome(message=f"{len(names) * len(DAMAGES)} damages refused")


@fault("one bit flipped at each byte of a manifest", short=True)
def manifest_bits_flipped(workspace: Workspace) -> Outcome:
    from tzrec.checkpoint.manifest import CheckpointManifest
    from tzrec.errors import CheckpointError

    _, newer = _two_checkpoints(workspace.directory / "model")
    path = newer / "manifest.json"
    data = path.read_bytes()
    accepted = []
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << workspace.random.randrange(8)]) + data[at + 1 :])
        try:
            CheckpointManifest.read(newer)
        except CheckpointError:
            continue
        accepted.append(at)
    assert accepted == []
    return Outcome(message=f"{len(data)} flipped bits refused")


class _Planted:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.mark,)


@fault("code and hostile numbers planted in a checkpoint with valid checksums", times=7)
def planted_content(workspace: Workspace) -> Outcome:
    import tzrec
    from tzrec.checkpoint.file_record import FileRecord
    from tzrec.checkpoint.manifest import CheckpointManifest
    from tzrec.errors import TzrecError

    mark = workspace.directory / "executed"
    bomb = pickle.dumps(_Planted(mark))
    data = workspace.write_rows("data", [300])
    config = workspace.write_config(train=data, num_rows=300)
    model_dir = workspace.directory / "model"
    tzrec.train(config)
    newest = checkpoints(model_dir)[-1]
    for older in checkpoints(model_dir)[:-1]:
        shutil.rmtree(older)
    contents = {
        "model/.metadata": [
            bomb,
            b"\x80\x04" + b"(" * 2_000_000 + b".",
            b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x.",
        ],
        "model/__0_0.distcp": [bomb],
        "plan": [bomb, b"[" * 100_000],
        "manifest.json": [_with_step(newest, 10**400)],
    }
    message = ""
    for name, variants in contents.items():
        for content in variants:
            backup = workspace.directory / "backup"
            shutil.copytree(newest, backup)
            (newest / name).write_bytes(content)
            if name != "manifest.json":
                manifest = CheckpointManifest.read(newest)
                files = {file: FileRecord.of(newest / file) for file in manifest.files}
                replace(manifest, files=files).write(newest)
            try:
                tzrec.train(config, continue_train=True, edit={"train_config.num_epochs": 2})
                raise AssertionError(f"{name} was accepted")
            except TzrecError as error:
                message = str(error)
            assert not mark.exists(), name
            shutil.rmtree(newest)
            backup.rename(newest)
    return Outcome(message=message.replace(str(workspace.directory), "")[:200])


def _two_checkpoints(model_dir: Path) -> tuple[Path, Path]:
    """Save two small checkpoints."""
    import torch

    from tzrec.checkpoint.manifest import CheckpointManifest
    from tzrec.checkpoint.position import Position
    from tzrec.checkpoint.saver import Saver

    saver = Saver(model_dir, 0, lambda older: ())
    for step in (1, 2):
        parts = {part: {"table": torch.full((6, 4), float(step))} for part in ("model", "optimizer")}
        saver.save(CheckpointManifest(Position(step)), parts, plan="{}")
    saver.finish()
    older, newer = checkpoints(model_dir)
    return older, newer


def _with_step(directory: Path, step: int) -> bytes:
    """Return the manifest of a checkpoint in format 1, which has no checksum of its own, with another step."""
    value = json.loads((directory / "manifest.json").read_text())
    del value["sha256"]
    value["position"]["step"] = step
    return json.dumps(value | {"format": 1}).encode()


@fault("no memory for a copy of the state: saved without one")
def memory_short_while_saving(workspace: Workspace) -> Outcome:
    import resource

    import torch

    from tzrec.checkpoint.manifest import CheckpointManifest
    from tzrec.checkpoint.position import Position
    from tzrec.checkpoint.restore import restore
    from tzrec.checkpoint.saver import Saver

    size = 256 << 20
    table = torch.ones(size // 4 // 32, 32)
    saver = Saver(workspace.directory, 0, lambda older: ())
    saver.save(CheckpointManifest(Position(1)), {"model": {"warm": torch.ones(1)}}, plan="{}")  # imports what it needs
    saver.wait()
    status = Path("/proc/self/status").read_text()
    used = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmData"))
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + size // 2, limits[1]))
    saver.save(CheckpointManifest(Position(2)), {"model": {"table": table[1:]}}, plan="{}")
    saver.finish()
    table.zero_()
    assert restore(workspace.directory / "model.ckpt-2" / "model", {"table": table[1:]}).problems == []
    resource.setrlimit(resource.RLIMIT_DATA, limits)
    assert table[1:].eq(1).all()
    return Outcome(message=f"{size >> 20} MB saved and restored with {size >> 21} MB of memory left")
