"""Position in the data of a resumed run: it is kept if the data is the same, and new files are a new epoch.

between two epochs or after a complete run   other files are new data: train_config.new_data
inside an epoch                              other files, another order or another seed are an error, unless
                                             --accept_new_data starts an epoch over the files
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tzrec.checkpoint import store
from tzrec.data.batch import Cursor
from tzrec.data.identity import DataDifference, DataIdentity
from tzrec.data.listing import pin_versions
from tzrec.env import RankInfo
from tzrec.errors import CheckpointError
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.train_pb2 import TrainConfig
from tzrec.run.resume import ResumeState, agree
from tzrec.run.training_control import TrainingControl


@dataclass(frozen=True)
class _Decision:
    """Decision about the position of a run.

    Attributes:
        is_new: start an epoch at the first row of the files.
        note: addition to the line that names the checkpoint.
    """

    is_new: bool = False
    note: str = ""


def continue_on_data(
    resume: ResumeState, data: DataIdentity | None, config: EasyRecConfig, rank_info: RankInfo
) -> ResumeState:
    """Compare the data of a checkpoint with the present data, and set the position of the run accordingly.

    Args:
        resume: state of the checkpoint.
        data: the present data; read on rank 0 only.
        config: of the run.
        rank_info: this rank.

    Raises:
        CheckpointError: the position has no meaning in the present data, or new data is not wanted.
    """
    if resume.checkpoint is None or not (resume.is_same_run or resume.position.cursor != Cursor()):
        return resume

    def decide() -> tuple[str, ...]:
        assert data is not None
        decision = _decide(resume, data, config)
        return ("new" if decision.is_new else "", decision.note)

    is_new, note = agree(decide, rank_info)
    if not is_new:
        return replace(resume, note=note)
    return replace(resume, position=resume.position.new_data(), has_new_data=True, note=note)


def continue_on_eval_data(resume: ResumeState, digest: str, config: EasyRecConfig, rank_info: RankInfo) -> ResumeState:
    """Compare the rows of evaluations with those of the evaluations before the checkpoint.

    A run that early stopping has ended stays complete.

    Args:
        resume: state of the checkpoint, after `continue_on_data`.
        digest: of the present rows, see `eval_data_digest`; known on rank 0 only, "" without evaluations.
        config: of the run.
        rank_info: this rank.
    """
    if resume.checkpoint is None or not resume.is_same_run or resume.has_new_data:
        return resume

    def decide() -> tuple[str, ...]:
        before = store.last_eval_data(resume.model_dir, resume.position.step)
        is_other = bool(digest and before) and digest != before
        return ("other" if is_other and not _is_stopped_early(resume, config) else "",)

    (is_other,) = agree(decide, rank_info)
    if not is_other:
        return resume
    return replace(resume, has_new_eval_data=True, note=f"{resume.note}; evaluations read other rows than before")


def input_path_of_epoch(resume: ResumeState, path: str) -> str:
    """Return the training path, with the versions of the tables of a lake with which the running epoch began.

    Args:
        resume: state of the checkpoint.
        path: train_input_path.
    """
    manifest = resume.checkpoint and resume.checkpoint.manifest
    is_inside = resume.position.cursor.row > 0 and not resume.accepts_new_data
    return pin_versions(path, manifest.data.tables) if is_inside and manifest and manifest.data else path


def restored_control(resume: ResumeState, config: EasyRecConfig) -> TrainingControl:
    """Build the rules of a run with their state at the checkpoint; over new data only the learning rate factor stays.

    Best values of evaluations before new data, or on other rows, do not count for those after it.
    """
    control = TrainingControl.from_config(config.train_config)
    names = ("reduce_on_plateau.factor",) if resume.is_compared_anew else tuple(resume.numbers)
    control.load_state_dict({name: resume.numbers[name] for name in names if name in resume.numbers})
    return control


def _decide(resume: ResumeState, data: DataIdentity, config: EasyRecConfig) -> _Decision:
    assert resume.checkpoint is not None
    manifest = resume.checkpoint.manifest
    if manifest is None or manifest.data is None:
        logger.warning(
            "%s has no description of its training data, so a change of the data is not noticed", resume.checkpoint.path
        )
        return _Decision(resume.accepts_new_data, ": a new epoch over the files" if resume.accepts_new_data else "")
    difference = DataDifference.of(manifest.data, data)
    is_complete = manifest.is_complete or _is_stopped_early(resume, config)
    is_between_epochs = resume.position.cursor.row == 0
    if difference.num_new_files and (is_between_epochs or is_complete):
        if config.train_config.new_data == TrainConfig.ERROR and not resume.accepts_new_data:
            raise CheckpointError(_unwanted_text(resume, difference))
        return _Decision(True, _new_data_text(resume, difference, manifest.data, data, is_complete))
    if is_between_epochs or not difference.is_other_epoch:
        return _Decision(note="".join(f"; {name}: {old} -> {new}" for name, old, new in difference.shuffle))
    if resume.accepts_new_data:
        return _Decision(True, _new_data_text(resume, difference, manifest.data, data, is_complete))
    raise CheckpointError(_changed_text(resume, difference, manifest.data))


def _is_stopped_early(resume: ResumeState, config: EasyRecConfig) -> bool:
    """True if the evaluation of the checkpoint ended the run."""
    control = restored_control(resume, config)
    metrics = store.last_evaluation(resume.model_dir, resume.position.step) if resume.is_same_run else None
    if metrics:
        control.on_evaluation(metrics)
    return control.should_stop


def _new_data_text(
    resume: ResumeState, difference: DataDifference, before: DataIdentity, now: DataIdentity, is_complete: bool
) -> str:
    """Describe the data of the next epoch: `: 12 new files after the epoch that ended there; schedules go on`."""
    num_known = len(now.files) - difference.num_new_files
    new = _count(difference.num_new_files, "new file") if difference.num_new_files else "a new epoch"
    known = f" and {_count(num_known, 'known file')}" if num_known else ""
    if resume.position.cursor.row:
        rest = f"; {_rest_text(resume, before)} of the epoch before were not trained"
    else:
        rest = " after the epoch that ended there" + ("" if is_complete else ", which was not the last of its run")
    return f": {new}{known}{rest}; schedules go on"


def _unwanted_text(resume: ResumeState, difference: DataDifference) -> str:
    assert resume.checkpoint is not None
    lines = "\n  ".join(difference.lines())
    return (
        f"train_input_path has {_count(difference.num_new_files, 'file')} on which {resume.checkpoint.path} was not "
        f"trained, and train_config.new_data is ERROR:\n  {lines}\n--accept_new_data or train_config.new_data: "
        "CONTINUE trains on them from their first row"
    )


def _changed_text(resume: ResumeState, difference: DataDifference, before: DataIdentity) -> str:
    assert resume.checkpoint is not None
    cursor = resume.position.cursor
    lines = "\n  ".join(difference.lines())
    rows = "" if before.num_rows is None else f" of {before.num_rows:,}"
    return (
        f"{resume.checkpoint.path} is inside of epoch {cursor.epoch + 1}, after row {cursor.row:,}{rows}, and the data "
        f"of this epoch has changed:\n  {lines}\nRestore it to finish the epoch, or pass --accept_new_data to start an "
        f"epoch over the present files; {_rest_text(resume, before)} of the old ones are then not trained"
    )


def _rest_text(resume: ResumeState, before: DataIdentity) -> str:
    row, num_rows = resume.position.cursor.row, before.num_rows
    return f"the rows after row {row:,}" if num_rows is None else f"{num_rows - row:,} of {num_rows:,} rows"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"
