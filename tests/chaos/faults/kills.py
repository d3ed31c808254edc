"""A run that is killed without warning."""

from __future__ import annotations

from tests.chaos.fault import Outcome, fault
from tests.chaos.workspace import Workspace, checkpoints, different_tensors, outcome, read_tensors


@fault("kill -9 while a checkpoint is written, then resumed", times=2)
def kill_while_saving(workspace: Workspace) -> Outcome:
    data = workspace.write_rows("data", [700, 300])
    calm = workspace.write_config("calm", train=data, num_rows=1000)
    workspace.train(calm).assert_succeeded()
    config = workspace.write_config("stormy", train=data, num_rows=1000)
    model_dir = workspace.directory / "stormy"
    for draft in (model_dir / "model.ckpt-5.tmp", model_dir / "model.ckpt-10.tmp"):
        assert workspace.train_killed_at(config, draft.exists, "--continue_train")
    result = workspace.train(config, "--continue_train").assert_succeeded()
    expected = read_tensors(checkpoints(workspace.directory / "calm")[-1])
    assert different_tensors(expected, read_tensors(checkpoints(model_dir)[-1])) == []
    return outcome(model_dir, 1000, message=result.line_with("start"))
