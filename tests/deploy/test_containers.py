"""docs/howto/containers.md: its files fit to each other and to the commands, and the trainer runs as in a container."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.test_deploy import instructions
from tests.fixtures.pages import ROOT, blocks
from tests.house.test_commands import parse
from tests.integration.test_howto import shell_commands

yaml: Any = importlib.import_module("yaml")

PAGE = "howto/containers.md"
MOUNTS = """
mount --bind {work} /mnt
mount -t tmpfs -o exec,nosuid,nodev,size=200m tmpfs /tmp
mount -o remount,ro,bind /
cd /mnt
exec "$@"
"""
"""Mounts of a container with a read-only root, in a namespace of its own."""


def services() -> dict[str, Any]:
    (text,) = blocks(PAGE, "yaml")
    return dict(yaml.safe_load(text)["services"])


def test_image_of_the_trainer_keeps_the_rules() -> None:
    (text,) = blocks(PAGE, "dockerfile")
    lines = instructions(text)
    served = yaml.safe_load((ROOT / "deploy" / "docker-compose.yml").read_text())["services"]["tzrec"]
    assert lines[0] == ("FROM", served["image"])
    user, owner = re.search(r"USER (\d+:\d+)", text), re.search(r"chown (\d+:\d+)", text)
    assert user and owner and user[1] == owner[1] and f"USER {user[1]}" in (ROOT / "deploy/Dockerfile").read_text()
    assert text.rindex("USER root") < text.rindex(f"USER {user[1]}")


@pytest.mark.parametrize("name", ["train", "export", "serve"])
def test_command_of_the_service_is_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = services()[name]["command"]
    verb = [] if name == "serve" else words[:1]  # the entry point of the server's image is `tzrec serve`
    quoted = [f"'{word}'" for word in words[len(verb) :]]
    parse(" ".join(["tzrec", *(verb or ["serve"]), *quoted]), monkeypatch)


def test_services_are_limited_and_share_the_volume() -> None:
    for name, service in services().items():
        assert service["read_only"] and service["tmpfs"] == ["/tmp:exec"] and service["cap_drop"] == ["ALL"], name
        assert service["mem_limit"] and service["cpus"] and any(v.startswith("work:/work") for v in service["volumes"])
    shared = {name: [v for v in service["volumes"] if v.startswith("work:")] for name, service in services().items()}
    assert shared == {"train": ["work:/work"], "export": ["work:/work"], "serve": ["work:/work:ro"]}


@pytest.mark.slow
def test_trainer_on_a_read_only_root_saves_at_sigterm_and_goes_on(tmp_path: Path) -> None:
    isolated = ["unshare", "--mount", "sh", "-ec", MOUNTS.format(work=tmp_path), "sh"]
    if subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode:
        pytest.skip("cannot mount filesystems in a namespace")
    new, data, train, _ = shell_commands((ROOT / "docs" / PAGE).read_text())
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": "/tmp", "NUMBA_CACHE_DIR": "/tmp/numba"}

    def words(command: str) -> list[str]:
        words = [word.strip("'") for word in command.replace("tzrec ", "python -m tzrec ", 1).split()]
        return [*isolated, sys.executable, *words[words.index("-m") :]]

    for command in (new, data):
        subprocess.run(words(command), env=environment, check=True, capture_output=True, timeout=300)
    long = [*words(train), "--set", "train_config.num_epochs=1000", "--set", "train_config.log_step_count_steps=1"]
    process = subprocess.Popen(long, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert any('"train"' in line or "samples/s" in line for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(120) == 128 + signal.SIGTERM
    finally:
        process.kill()
    before = sorted(tmp_path.glob("work/model/model.ckpt-*"))
    assert before
    ended = subprocess.run(words(train), env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert f"resuming from work/model/{before[-1].name}" in ended.stderr
