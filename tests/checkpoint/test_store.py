"""Finding checkpoints: only valid ones count, and errors describe the others."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.conftest import Save
from tzrec.checkpoint import store
from tzrec.checkpoint.manifest import CheckpointManifest
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


def results(model_dir: Path, *lines: dict[str, Any]) -> None:
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


@pytest.mark.parametrize(
    ("digests", "compared"),
    [
        ("", []),
        ("-", [0]),
        ("---", [0, 1, 2]),
        ("aaa", [0, 1, 2]),
        ("aab", [2]),
        ("aabb", [2, 3]),
        ("aba", [2]),
        ("--aa", [0, 1, 2, 3]),
        ("--ab", [3]),
        ("a-b", [1, 2]),
        ("ab--", [1, 2, 3]),
    ],
)
def test_evaluations_on_the_rows_of_the_last_one_compare(digests: str, compared: list[int]) -> None:
    """Lines of an older version have no digest (-)."""
    lines = [
        {"global_step": step, "auc": 0.5} | ({} if digest == "-" else {"eval_data": digest})
        for step, digest in enumerate(digests)
    ]
    assert [line["global_step"] for line in store.comparable(lines)] == compared


def test_best_is_of_the_evaluations_on_the_rows_of_the_last_one(tmp_path: Path) -> None:
    rows = [(1, "a", 0.9), (2, "a", 0.8), (3, "b", 0.7), (4, "b", None), (5, "b", 0.6)]
    results(tmp_path, *({"global_step": step, "eval_data": data, "auc": auc} for step, data, auc in rows))
    assert [path.name for path in store.best_first(tmp_path, "auc", True)] == ["model.ckpt-3", "model.ckpt-5"]
    assert [path.name for path in store.best_first(tmp_path, "auc", False)] == ["model.ckpt-5", "model.ckpt-3"]
    assert [store.last_eval_data(tmp_path, step) for step in (0, 2, 3)] == ["", "a", "b"]
    last = store.last_evaluation(tmp_path, 5)
    assert last == {"global_step": 5, "auc": 0.6}
    with pytest.raises(CheckpointError, match=r'"aux"; use one of auc$'):
        store.best_first(tmp_path, "aux", True)


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


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def names(model_dir: Path) -> list[str]:
    return sorted(path.name for path in model_dir.iterdir())


def test_recover_moves_damaged_checkpoints_aside(tmp_path: Path, save: Save, caplog: pytest.LogCaptureFixture) -> None:
    for step in (10, 20, 30):
        save(step, 1.0)
    damage(tmp_path / "model.ckpt-20" / "plan")
    damage(tmp_path / "model.ckpt-30" / "optimizer" / "__0_0.distcp")
    (tmp_path / "model.ckpt-99").write_text("a file")
    (tmp_path / "model.ckpt-30.damaged").mkdir()
    recovered = store.recover(tmp_path)
    assert recovered
    assert recovered.step == 10
    assert names(tmp_path) == [
        "model.ckpt-10",
        "model.ckpt-20.damaged",
        *("model.ckpt-30.damaged", "model.ckpt-30.damaged2", "model.ckpt-99.damaged"),
    ]
    assert "model.ckpt-20 is damaged and was renamed to model.ckpt-20.damaged" in caplog.text


def test_recover_of_damaged_checkpoints_only_keeps_them(tmp_path: Path, save: Save) -> None:
    save(10, 1.0)
    damage(tmp_path / "model.ckpt-10" / "plan")
    with pytest.raises(CheckpointError, match="all checkpoints are damaged"):
        store.recover(tmp_path)
    assert names(tmp_path) == ["model.ckpt-10"]


def test_prune_counts_valid_checkpoints_only(tmp_path: Path, save: Save) -> None:
    for step in (10, 20, 30, 40):
        save(step, 1.0)
    verified = store.VerifiedCheckpoints()
    damage(tmp_path / "model.ckpt-30" / "plan")
    store.prune(tmp_path, 2, lambda older: (), verified)
    assert names(tmp_path) == ["model.ckpt-20", "model.ckpt-30.damaged", "model.ckpt-40"]


def test_prune_verifies_each_checkpoint_once(tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (10, 20):
        save(step, 1.0)
    verified = store.VerifiedCheckpoints()
    read: list[Path] = []
    verify = CheckpointManifest.verify
    monkeypatch.setattr(CheckpointManifest, "verify", lambda self, path: (read.append(path), verify(self, path)))
    assert verified.is_valid(tmp_path / "model.ckpt-10")
    assert verified.is_valid(tmp_path / "model.ckpt-10")
    verified.add(tmp_path / "model.ckpt-20")
    assert verified.is_valid(tmp_path / "model.ckpt-20")
    assert read == [tmp_path / "model.ckpt-10"]
    damage(tmp_path / "model.ckpt-10" / "plan")
    assert not verified.is_valid(tmp_path / "model.ckpt-10"), "its files have changed"


def test_remove_unfinished_removes_files_and_links(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt-1.tmp").write_text("x")
    (tmp_path / "model.ckpt-2.old").symlink_to("/nowhere")
    store.remove_unfinished(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "line",
    ['{"global_step": 2, "au', "[" * 100_000, "3", "{}", '{"global_step": "2"}', '{"global_step": 2, "auc": "high"}'],
)
def test_evaluations_skip_other_lines_with_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str) -> None:
    (tmp_path / store.RESULTS).write_text(f'{{"global_step": 1, "auc": 0.5}}\n{line}\n')
    assert store.read_results(tmp_path / store.RESULTS) == [{"global_step": 1, "auc": 0.5}]
    assert f"{store.RESULTS}:2: skipped, not an evaluation" in caplog.text


def test_evaluations_of_directory_are_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / store.RESULTS).mkdir()
    assert store.read_results(tmp_path / store.RESULTS) == []
    assert "Is a directory" in caplog.text


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, '{"a": 3}', '{"a": {"t": {"sharding_type": 3}}}'])
def test_read_plan_of_other_content_raises(tmp_path: Path, text: str) -> None:
    assert store.read_plan(tmp_path) is None
    (tmp_path / "plan").write_text(text)
    with pytest.raises(CheckpointError, match="plan is damaged"):
        store.read_plan(tmp_path)
