"""Values that are not finite, absurd, or not what a loss takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import tzrec
from tests.chaos.fault import Outcome, fault
from tests.chaos.workspace import Workspace, checkpoints, different_tensors, read_tensors, trained_times
from tzrec.errors import DataError, TrainingError

ROWS = 600
BAD = range(330, 338)  # all of them in step 5 of batches of 64 rows
STEP_5 = range(320, 384)
SKIP = "nonfinite_loss: SKIP_STEP"
ADAM = "adam_optimizer { lr: 0.005 }"
COSINE = "cosine_annealing_learning_rate { T_max: 400 warmup_size: 20 }"
CLIPPED = "adagrad_optimizer { lr: 0.05 gradient_clipping: true max_gradient: 9.53674316406e-07 }"


def write(
    workspace: Workspace,
    column: str = "",
    value: object = None,
    at: Sequence[int] = BAD,
    kind: str = "parquet",
    name: str = "model",
    edit: Mapping[str, Any] | None = None,
    **values: Any,
) -> Path:
    """Write rows with a value in one column, and a config without shuffling."""
    data = workspace.write_rows(name + "_data", [ROWS], kind)
    path = workspace.directory / f"{name}_data" / f"part-000.{kind}"
    table = pq.read_table(path) if kind == "parquet" else pyarrow.csv.read_csv(path)
    if column:
        cells = [value if row in at else cell for row, cell in enumerate(table[column].to_pylist())]
        array = pa.array(list(map(str, cells))) if isinstance(value, str) else pa.array(cells)
        table = table.set_column(table.column_names.index(column), column, array)
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(quoting_style="none"))
        values |= {"dataset": "CsvDataset", "data_more": f"with_header: true {values.get('data_more', '')}"}
    return workspace.write_config(name, edit, **({"train": data, "num_rows": ROWS, "shuffle": "false"} | values))


def refused(config: Path, kind: type[Exception] = TrainingError, **more: Any) -> str:
    """Train, expect an error and return its message."""
    try:
        tzrec.train(config, **more)
    except kind as error:
        return str(error)
    raise AssertionError("the run succeeded")


def assert_finite(model_dir: Path) -> None:
    """Assert that no checkpoint holds a value that is not finite."""
    for checkpoint in checkpoints(model_dir):
        for name, tensor in read_tensors(checkpoint).items():
            assert tensor.isfinite().all(), f"{checkpoint}: {name}"


def outcome(model_dir: Path, left_out: Collection[int] = (), message: str = "") -> Outcome:
    """Compare how often rows were trained with once, and never for the rows that a policy leaves out."""
    times = trained_times(read_tensors(checkpoints(model_dir)[-1]))[:ROWS]
    difference = times - np.array([row not in left_out for row in range(ROWS)])
    return Outcome(int(-difference.clip(max=0).sum()), int(difference.clip(min=0).sum()), message)


@fault("price of 1e38 under STOP_TRAINING, then resumed", times=2)
def absurd_price_stops(workspace: Workspace) -> Outcome:
    config = write(workspace, "price", 1e38, save_steps=2)
    message = refused(config)
    assert message.startswith("step 5: gradients are not finite") and "largest input price 1e+38" in message, message
    assert_finite(workspace.directory / "model")
    assert refused(config, continue_train=True) == message
    assert [path.name for path in checkpoints(workspace.directory / "model")] == ["model.ckpt-2", "model.ckpt-4"]
    assert_finite(workspace.directory / "model")
    return Outcome(message=message)


@fault("price of 1e38 under SKIP_STEP", short=True)
def absurd_price_is_skipped(workspace: Workspace) -> Outcome:
    run = tzrec.train(write(workspace, "price", 1e38, train_more=SKIP))
    assert run.skipped_steps == 1
    assert_finite(run.model_dir)
    return outcome(run.model_dir, STEP_5, f"skipped {run.skipped_steps} step")


@fault("price of 1e38 on one of two ranks under SKIP_STEP")
def absurd_price_on_one_rank(workspace: Workspace) -> Outcome:
    config = write(workspace, "price", 1e38, train_more=SKIP, batch_size=32)
    result = workspace.train(config, ranks=2).assert_succeeded()
    assert_finite(workspace.directory / "model")
    return outcome(workspace.directory / "model", STEP_5, result.line_with("skip   "))


@fault("infinite loss on one of two ranks under SKIP_STEP")
def infinite_loss_on_one_rank(workspace: Workspace) -> Outcome:
    edit = {"binary_cross_entropy {}": "l2_loss {}", "auc {}": "mean_squared_error {}"}
    config = write(workspace, "clk", 3e38, [330], edit=edit, train_more=SKIP, batch_size=32)
    result = workspace.train(config, ranks=2).assert_succeeded()
    assert "step 5: the loss is not finite (rank 0: l2_loss inf)" in result.output, result.output
    assert_finite(workspace.directory / "model")
    return outcome(workspace.directory / "model", STEP_5, result.line_with("skip   "))


@fault("price of 1e38 with other optimizers and losses", times=4)
def absurd_price_with_other_optimizers(workspace: Workspace) -> Outcome:
    message = ""
    edits: list[dict[str, Any]] = [
        {ADAM: "sgd_optimizer { lr: 0.005 }", CLIPPED: "adagrad_optimizer { lr: 0.05 }"},
        {CLIPPED: "rowwise_adagrad_optimizer { lr: 0.05 }"},
        {CLIPPED: "adam_optimizer { lr: 0.05 }"},
        {"binary_cross_entropy {}": "binary_focal_loss { gamma: 0.5 }"},
    ]
    for number, edit in enumerate(edits):
        run = tzrec.train(write(workspace, "price", 1e38, name=f"m{number}", edit=edit, train_more=SKIP))
        assert run.skipped_steps == 1, edit
        assert_finite(run.model_dir)
        message = f"skipped {run.skipped_steps} step"
    return Outcome(message=message)


@fault("learning rates of 1e30 and 1e38 under both policies", times=8)
def absurd_rates_break_parameters(workspace: Workspace) -> Outcome:
    message = ""
    edits: list[dict[str, Any]] = [
        {ADAM: "adam_optimizer { lr: 1e38 }", COSINE: "constant_learning_rate {}"},
        {CLIPPED: "adagrad_optimizer { lr: 1e38 }"},
        {CLIPPED: "rowwise_adagrad_optimizer { lr: 1e30 }"},
        {CLIPPED: "sgd_optimizer { lr: 1e38 }"},
    ]
    for number, edit in enumerate(edits):
        for policy in ("", SKIP):
            name = f"m{number}{policy[-9:]}"
            message = refused(write(workspace, name=name, edit=edit, train_more=policy, save_steps=1))
            assert "ower the learning rates" in message, message
            assert_finite(workspace.directory / name)
    return Outcome(message=message)


@fault("all prices of 1e38 under SKIP_STEP", times=2)
def absurd_prices_everywhere(workspace: Workspace) -> Outcome:
    message = refused(write(workspace, "price", 1e38, range(ROWS), train_more=SKIP))
    assert "were skipped" in message, message
    bound = "max_skipped_steps: 3"
    message = refused(write(workspace, "price", 1e38, range(ROWS), name="bound", train_more=f"{SKIP} {bound}"))
    assert "3 steps in a row were skipped" in message, message
    return Outcome(message=message)


@fault("labels that no loss takes, under each policy", times=9)
def labels_outside_the_range(workspace: Workspace) -> Outcome:
    message, lost, repeated = "", 0, 0
    for number, (value, kind) in enumerate(((7, "parquet"), (-1, "parquet"), ("nan", "csv"))):
        config = write(workspace, "clk", value, kind=kind, name=f"error{number}")
        message = refused(config, DataError)
        assert 'row 331: column "clk" has' in message or 'line 332: column "clk" has' in message, message
        for policy in ("DEFAULT", "SKIP_ROW"):
            more = {"data_more": f"bad_row_policy: {policy}", "name": f"{policy}{number}"}
            run = tzrec.train(write(workspace, "clk", value, kind=kind, **more))
            counted = outcome(run.model_dir, BAD)
            lost, repeated = lost + counted.lost_rows, repeated + counted.repeated_rows
    return Outcome(lost, repeated, message)


@fault("inputs that cannot be encoded, under each policy", times=15)
def inputs_out_of_range(workspace: Workspace) -> Outcome:
    message, lost, repeated = "", 0, 0
    values = [("price", float("nan")), ("price", float("inf")), ("price", "1e400"), ("user", -1), ("user", 99999)]
    for number, (column, value) in enumerate(values):
        kind = "csv" if isinstance(value, str) else "parquet"
        message = refused(write(workspace, column, value, kind=kind, name=f"error{number}"), DataError)
        assert f'column "{column}"' in message, message
        for policy in ("DEFAULT", "SKIP_ROW"):
            more = {"data_more": f"bad_row_policy: {policy}", "name": f"{policy}{number}"}
            run = tzrec.train(write(workspace, column, value, kind=kind, **more))
            assert_finite(run.model_dir)
            counted = outcome(run.model_dir, BAD if policy == "SKIP_ROW" else ())
            lost, repeated = lost + counted.lost_rows, repeated + counted.repeated_rows
    return Outcome(lost, repeated, message)


@fault("checkpoint of an older version with infinite moments")
def poisoned_old_checkpoint(workspace: Workspace) -> Outcome:
    import torch.distributed.checkpoint as dcp

    from tzrec.checkpoint.file_record import FileRecord
    from tzrec.checkpoint.manifest import CheckpointManifest

    calm = tzrec.train(write(workspace, name="calm"))
    config = write(workspace)
    tzrec.train(config, edit={"train_config.num_epochs": 0, "train_config.num_steps": 8})
    model_dir = workspace.directory / "model"
    poisoned = checkpoints(model_dir)[-1]
    prefix = "optimizer/"
    tensors = {name.removeprefix(prefix): t for name, t in read_tensors(poisoned).items() if name.startswith(prefix)}
    name = next(name for name in tensors if name.endswith("exp_avg_sq"))
    tensors[name].fill_(float("inf"))
    dcp.save(tensors, storage_writer=dcp.FileSystemWriter(poisoned / "optimizer", overwrite=True), no_dist=True)
    manifest = CheckpointManifest.read(poisoned)
    files = {path: FileRecord.of(poisoned / path) for path in manifest.files}
    replace(manifest, files=files, is_finite=False).write(poisoned)
    result = workspace.train(config, "--continue_train").assert_succeeded()
    assert f"in optimizer/{name}" in result.output, result.output
    assert (
        different_tensors(read_tensors(checkpoints(calm.model_dir)[-1]), read_tensors(checkpoints(model_dir)[-1])) == []
    )
    return outcome(model_dir, message=result.line_with("not finite"))


@fault("last batch of one row under batch norm", times=2)
def one_row_under_batch_norm(workspace: Workspace) -> Outcome:
    lost, repeated = 0, 0
    deep = "hidden_units: [16, 8] dropout_ratio: [0.1, 0.1]"
    for number, norm in enumerate(("use_bn: true", 'activation: "Dice"')):
        edit = {deep: f"{deep} {norm}"}
        run = tzrec.train(write(workspace, name=f"m{number}", edit=edit, batch_size=ROWS - 1))
        assert_finite(run.model_dir)
        counted = outcome(run.model_dir)
        lost, repeated = lost + counted.lost_rows, repeated + counted.repeated_rows
    return Outcome(lost, repeated)
