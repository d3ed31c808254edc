"""Positions in the data: changed data and settings, lost evaluations, nights, other numbers of ranks, and readers."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tzrec
from tests.chaos.fault import Outcome, fault
from tests.chaos.workspace import Workspace, checkpoints, different_tensors, kill_group, outcome, read_tensors
from tzrec.errors import CheckpointError

ROWS = 1000
RESULTS = "train_eval_result_v2.txt"
PLATEAU = 'reduce_on_plateau { metric: "auc" patience: 1 factor: 0.5 min_delta: 0.05 }'


def results(model_dir: Path) -> list[Any]:
    return [json.loads(line) for line in (model_dir / RESULTS).read_text().splitlines()]


def ensure_equal(model_dir: Path, calm_dir: Path) -> None:
    """Compare the evaluations, and the last checkpoints to the bit."""
    assert results(model_dir) == results(calm_dir)
    expected = read_tensors(checkpoints(calm_dir)[-1])
    assert different_tensors(expected, read_tensors(checkpoints(model_dir)[-1])) == []


def finish(workspace: Workspace, config: Path, ranks: int = 1) -> None:
    """Train to the end, in this process if that is possible."""
    if ranks == 1:
        tzrec.train(config, continue_train=True)
    else:
        workspace.train(config, "--continue_train", ranks=ranks).assert_succeeded()


def halted(workspace: Workspace, **values: Any) -> Path:
    """Train part of an epoch, to a checkpoint after one step; return the config."""
    config = workspace.write_config(num_rows=ROWS, **values)
    tzrec.train(config, edit={"train_config.max_minutes": 1e-9})
    assert checkpoints(workspace.directory / "model")[-1].name == "model.ckpt-0"
    return config


@fault("data, optimizer, schedule or table changed inside an epoch, then restored", times=9, short=True)
def changed_inside_epoch(workspace: Workspace) -> Outcome:
    data, model_dir = workspace.write_rows("data", [300, 300, 400]), workspace.directory / "model"
    config = halted(workspace, train=data, eval=data)
    before = (model_dir / "pipeline.config").read_bytes()
    folder, message = workspace.directory / "data", ""

    def refuse(*texts: str, edit: Mapping[str, Any] | None = None) -> str:
        try:
            tzrec.train(config, edit={"eval_input_path": "", **(edit or {})}, continue_train=True)
        except CheckpointError as error:
            message = str(error)
        else:
            raise AssertionError(f"not refused: {texts}")
        assert all(text in message for text in texts), message
        assert (model_dir / "pipeline.config").read_bytes() == before
        return message.replace("\n", " ")

    first, second = folder / "part-000.parquet", folder / "part-001.parquet"
    first.rename(folder / "gone")
    message = refuse(f"missing: {first}", "--accept_new_data")
    (folder / "gone").rename(first)
    shutil.copy(workspace.write_rows("more", [50], first=5000).replace("*", "part-000"), folder / "a.parquet")
    refuse(f"added: {folder}/a.parquet (50 rows")
    (folder / "a.parquet").unlink()
    first.rename(folder / "x"), second.rename(first), (folder / "x").rename(second)
    refuse("another order")
    first.rename(folder / "x"), second.rename(first), (folder / "x").rename(second)
    refuse("train_config.seed: 1 -> 77", edit={"train_config.seed": 77})
    sgd = "sgd_optimizer { lr: 0.05 } constant_learning_rate {}"
    refuse("sgd_optimizer: not set -> set", edit={"train_config.sparse_optimizer": sgd})
    refuse("T_max: 400 -> 40", edit={"train_config.dense_optimizer.cosine_annealing_learning_rate.T_max": 40})
    refuse("num_buckets: 300 -> 400", edit={"feature_configs[1].id_feature.num_buckets": 400})
    refuse(
        "user, cate, price -> cate", edit={"model_config.feature_groups[1].feature_names": ["cate", "user", "price"]}
    )
    wider = {"model_config.wide_and_deep.deep.hidden_units": [24, 8]}
    refuse("[16, 17] in the checkpoint, [24, 17] in the model", edit=wider)
    assert tzrec.evaluate(model_dir / "pipeline.config"), "eval of the healthy checkpoint"
    tzrec.train(config, continue_train=True)
    return outcome(model_dir, ROWS, message=message)


@fault("batch size, shuffle, window and place of the data changed inside an epoch", times=4)
def accepted_inside_epoch(workspace: Workspace) -> Outcome:
    data, model_dir = workspace.write_rows("data", [300, 300, 400]), workspace.directory / "model"
    config = halted(workspace, train=data)
    shutil.move(workspace.directory / "data", workspace.directory / "moved")
    edits: list[dict[str, Any]] = [
        {"data_config.batch_size": 50},
        {"data_config.shuffle": False},
        {"data_config.shuffle_buffer_size": 3},
        {},
    ]
    edit: dict[str, Any] = {"train_input_path": data.replace("/data/", "/moved/")}
    for change in edits:
        edit |= change
        last = {} if change == {} else {"train_config.max_minutes": 1e-9}
        tzrec.train(config, edit=edit | last, continue_train=True)
    return outcome(model_dir, ROWS, message="each row once, in the windows of the first start")


@fault("kill -9 between a checkpoint and its evaluation, also the last one", times=3)
def kill_before_evaluation(workspace: Workspace) -> Outcome:
    """Large evaluation data makes the evaluation long enough to be hit."""
    data, evaluated = workspace.write_rows("data", [700, 300]), workspace.write_rows("eval", [60_000])
    values = {"train": data, "eval": evaluated, "num_rows": 60_000, "train_more": PLATEAU}
    calm, config = workspace.write_config("calm", **values), workspace.write_config("stormy", **values)
    tzrec.train(calm)
    model_dir = workspace.directory / "stormy"
    for step in (5, 10, 15):
        path = model_dir / f"model.ckpt-{step}"
        assert workspace.train_killed_at(config, path.exists, "--continue_train")
        steps = [line["global_step"] for line in results(model_dir)] if (model_dir / RESULTS).exists() else []
        assert step not in steps, "the evaluation was faster than the kill"
    tzrec.train(config, continue_train=True)
    ensure_equal(model_dir, workspace.directory / "calm")
    return outcome(model_dir, ROWS, message="evaluated before the first step; the end equals that of a calm run")


@fault("last evaluation cut off by a full disk", times=2, short=True)
def torn_results(workspace: Workspace) -> Outcome:
    data, model_dir = workspace.write_rows("data", [ROWS]), workspace.directory / "model"
    config = workspace.write_config(train=data, eval=data, num_rows=ROWS)
    tzrec.train(config)
    whole = (model_dir / RESULTS).read_text()
    for length in (20, 1):
        (model_dir / RESULTS).write_text(whole[:-length])
        tzrec.train(config, continue_train=True)
        assert (model_dir / RESULTS).read_text() == whole
    return outcome(model_dir, ROWS, message="the evaluation is repeated")


def _killed_at_random(workspace: Workspace, num_kills: int, ranks: int = 1, **values: Any) -> Outcome:
    values = {"num_rows": ROWS, "num_epochs": 2, "batch_size": 32 // ranks, "keep": 2, **values}
    calm = workspace.write_config("calm", **values)
    finish(workspace, calm, ranks)
    config, model_dir, num_done = workspace.write_config("stormy", **values), workspace.directory / "stormy", 0
    for _ in range(num_kills):
        seen, pause = set(model_dir.glob("model.ckpt-*")), workspace.random.random() * 0.3

        def is_moment(seen: set[Path] = seen, pause: float = pause) -> bool:
            if not set(model_dir.glob("model.ckpt-*")) - seen:
                return False
            time.sleep(pause)
            return True

        num_done += workspace.train_killed_at(config, is_moment, "--continue_train", ranks=ranks)
    finish(workspace, config, ranks)
    ensure_equal(model_dir, workspace.directory / "calm")
    return outcome(model_dir, ROWS, 2, f"{num_done} kills hit; tensors and evaluations equal those of a calm run")


@fault("kill -9 at random moments, Parquet", times=3)
def random_kills_parquet(workspace: Workspace) -> Outcome:
    data = workspace.write_rows("data", [700, 300])
    return _killed_at_random(workspace, 3, train=data, eval=data)


@fault("kill -9 at random moments, CSV", times=2)
def random_kills_csv(workspace: Workspace) -> Outcome:
    data = workspace.write_rows("data", [700, 300], "csv")
    return _killed_at_random(workspace, 2, train=data, eval=data, dataset="CsvDataset", data_more="with_header: true")


@fault("kill -9 of two ranks at random moments", times=2, limit_s=240)
def random_kills_two_ranks(workspace: Workspace) -> Outcome:
    data = workspace.write_rows("data", [700, 300])
    return _killed_at_random(workspace, 2, ranks=2, train=data, eval=data)


@fault("three nights of new files, killed twice", times=2)
def killed_nights(workspace: Workspace) -> Outcome:
    model_dir = workspace.directory / "model"
    for night in range(3):
        data = workspace.write_rows(f"night{night}", [300, 100], first=400 * night)
        config = workspace.write_config(train=data, eval=data, num_rows=1200)
        step = 7 * night + 5 - (7 * night + 5) % 5
        moment: Callable[[], bool] = (model_dir / f"model.ckpt-{step}").exists
        if night:
            assert workspace.train_killed_at(config, moment, "--continue_train")
        finish(workspace, config)
    result = workspace.train(config, "--continue_train").assert_succeeded()
    assert "already complete" in result.output
    return outcome(model_dir, 1200, message=result.line_with("already complete"))


@fault("a run goes on with 2 and 3 ranks and other sharding types", times=2, limit_s=240)
def changed_ranks(workspace: Workspace) -> Outcome:
    data, model_dir = workspace.write_rows("data", [700, 300]), workspace.directory / "model"
    config = halted(workspace, train=data, batch_size=60)
    stages = ((2, "row_wise", 30, 3), (3, "column_wise", 20, None))
    for ranks, sharding, batch_size, num_steps in stages:
        edit: dict[str, Any] = {
            "data_config.batch_size": batch_size,
            "train_config.global_embedding_constraints": {"sharding_types": [sharding]},
        }
        if num_steps:
            edit |= {"train_config.num_epochs": 0, "train_config.num_steps": num_steps}
        flags = ["--continue_train", "--edit_config_json", json.dumps(edit)]
        workspace.train(config, *flags, ranks=ranks).assert_succeeded()
    return outcome(model_dir, ROWS, message="each row once on 1, 2 and 3 ranks")


@fault("empty files, single rows, and rows that do not divide", times=7)
def uneven_files(workspace: Workspace) -> Outcome:
    sizes_by_name = {
        "empty_between": [200, 0, 123],
        "empty_first": [0, 100, 7],
        "one": [1],
        "two": [1, 1],
        "seven": [7],
        "rest_one": [193],
        "singles": [1] * 20,
    }
    lost = repeated = 0
    for name, sizes in sizes_by_name.items():
        data, size = workspace.write_rows(f"{name}_data", sizes), sum(sizes)
        config = workspace.write_config(name, train=data, eval=data, num_epochs=2)
        tzrec.train(config)
        count = outcome(workspace.directory / name, size, 2)
        lost, repeated = lost + count.lost_rows, repeated + count.repeated_rows
        scores = workspace.directory / f"{name}_scores"
        assert tzrec.predict(data, scores, config=config, reserved_columns=["row_id"]) == size
    return Outcome(lost, repeated, "trained twice and scored once, each")


@fault("eval and predict beside a run that deletes its checkpoints", times=8)
def readers_beside_trainer(workspace: Workspace) -> Outcome:
    data, model_dir = workspace.write_rows("data", [700, 300]), workspace.directory / "model"
    values = {"train": data, "eval": data, "num_rows": ROWS, "save_steps": 1, "keep": 1}
    config = workspace.write_config(num_epochs=100_000, **values)
    run = workspace.start_train(config, log=workspace.directory / "train.log")
    while not checkpoints(model_dir):
        assert run.poll() is None
        time.sleep(0.05)
    seen = set()
    for number in range(4):
        assert tzrec.evaluate(model_dir / "pipeline.config")
        seen.add(checkpoints(model_dir)[-1].name)
        scores = workspace.directory / f"scores{number}"
        assert tzrec.predict(data, scores, config=model_dir / "pipeline.config") == ROWS
    assert run.poll() is None and len(seen) > 1, "the run went on and deleted checkpoints meanwhile"
    kill_group(run)
    run.wait(10)
    return Outcome(message="8 of 8 read a whole checkpoint")
