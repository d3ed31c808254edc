"""Finding checkpoints: only valid ones count, and errors describe the others."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.checkpoint.conftest import Save
from tzrec.checkpoint import store
from tzrec.errors import CheckpointError

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")

FILES = ["model/__0_0.distcp", "model/.metadata", "optimizer/__0_0.distcp", "optimizer/.metadata", "plan"]


def test_find_without_checkpoint_raises(tmp_path: Path) -> None:
    assert store.latest(tmp_path / "nowhere") is None
    with pytest.raises(CheckpointError, match="holds no model"):
        store.find(tmp_path)


def test_find_returns_checkpoint_of_largest_step(tmp_path: Path, save: Save) -> None:
    for step in (9, 100, 20):
        save(step, 1.0)
    latest = store.find(tmp_path)
    assert latest.step == 100
    assert latest.position.cursor.row == 30
    assert store.find(tmp_path / "model.ckpt-20").step == 20


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_latest_with_damage_warns_and_returns_previous(
    tmp_path: Path, save: Save, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    save(1, 1.0)
    save(2, 2.0)
    path = tmp_path / "model.ckpt-2" / name
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 0x80
        path.write_bytes(content)
    elif damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    latest = store.latest(tmp_path)
    assert latest
    assert latest.step == 1
    assert name.rpartition("/")[2] in caplog.text


def test_latest_of_damaged_checkpoints_raises(tmp_path: Path, save: Save) -> None:
    save(1, 1.0)
    (tmp_path / "model.ckpt-1" / "plan").unlink()
    with pytest.raises(CheckpointError, match=r"all checkpoints are damaged:\n.*plan is missing"):
        store.latest(tmp_path)


def test_remove_unfinished_keeps_checkpoints(tmp_path: Path, save: Save) -> None:
    save(1, 1.0)
    for name in ("model.ckpt-2.tmp", "model.ckpt-0.old"):
        (tmp_path / name).mkdir()
    latest = store.latest(tmp_path)
    assert latest
    assert latest.step == 1
    store.remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt-1"]


def test_find_of_checkpoint_without_manifest_needs_its_path(tmp_path: Path, save: Save) -> None:
    save(30, 1.0)
    path = tmp_path / "model.ckpt-30"
    (path / "manifest.json").unlink()
    assert store.find(path).step == 30
    with pytest.raises(CheckpointError):
        store.latest(tmp_path)


def results(model_dir: Path, *lines: dict[str, float | None]) -> None:
    (model_dir / store.RESULTS).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_best_by_metric_returns_newest_of_equals(tmp_path: Path, save: Save) -> None:
    for step in (1, 2, 3):
        save(step, 1.0)
    assert store.best(tmp_path, "auc", True).step == 3, "no evaluation: the newest"
    rows = [(1, 0.7, 0.3), (2, 0.7, 0.5), (3, 0.6, 0.4)]
    results(tmp_path, *({"global_step": step, "auc": auc, "loss": loss} for step, auc, loss in rows))
    assert store.best(tmp_path, "auc", True).step == 2, "the newer of two equals"
    assert store.best(tmp_path, "loss", False).step == 1
    with pytest.raises(CheckpointError, match='"aux"; use one of auc, loss'):
        store.best(tmp_path, "aux", True)


def test_best_first_orders_evaluated_checkpoints(tmp_path: Path) -> None:
    rows = [(1, 0.9), (2, 0.7), (3, 0.95), (1, 0.6), (4, 0.7)]  # 1 is repeated
    results(tmp_path, *({"global_step": step, "auc": auc} for step, auc in rows))
    best = store.best_first(tmp_path, "auc", True)
    assert [path.name for path in best] == [f"model.ckpt-{step}" for step in (3, 4, 2, 1)]
    assert store.best_first(tmp_path, "auc", False) == [best[3], best[1], best[2], best[0]]


def test_last_evaluation_of_repeated_step_is_newest(tmp_path: Path) -> None:
    assert store.last_evaluation(tmp_path, 1) is None
    results(tmp_path, *({"global_step": step, "auc": auc} for step, auc in ((1, 0.5), (2, None), (1, 0.75))))
    assert store.last_evaluation(tmp_path, 1) == {"global_step": 1, "auc": 0.75}
    latest = store.last_evaluation(tmp_path, 2)
    assert latest
    assert math.isnan(latest["auc"])
    assert store.last_evaluation(tmp_path, 3) is None


def test_best_skips_undefined_metrics(tmp_path: Path, save: Save) -> None:
    for step in (1, 2, 3):
        save(step, 1.0)
    lines = [{"global_step": step, "auc": auc, "logloss": None} for step, auc in ((1, None), (2, 0.7), (3, None))]
    results(tmp_path, *lines)
    assert store.best(tmp_path, "auc", True).step == store.best(tmp_path, "auc", False).step == 2
    assert store.best(tmp_path, "logloss", True).step == 3, "never defined: the newest"
