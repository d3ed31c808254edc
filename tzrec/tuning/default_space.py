"""Default space of a study: learning rates, sizes and regularization of a config, around the values that it has."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.check import check
from tzrec.config.checker import children
from tzrec.config.edit import edit
from tzrec.config.load import ConfigSource
from tzrec.config.parser import join
from tzrec.config.schema import fields_of
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.tune_pb2 import TuneParameter
from tzrec.tuning.space import Parameter, copy_config

_RATES = {"min": 0.1, "max": 10.0, "log": True}
_DIMS = {"min": 0.5, "max": 4.0, "log": True}
_WIDTHS = {"min": 0.5, "max": 2.0, "log": True}
_DROPOUT = {"min": 0.0, "max": 0.5, "step": 0.1}
_WEIGHT_DECAYS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3)
_BATCH_FACTORS = (0.5, 1, 2, 4)


def default_parameters(start: EasyRecConfig) -> list[TuneParameter]:
    """Derive the parameters of a study from a config; one whose limits the config does not allow is left out."""
    return [parameter for parameter in _candidates(start) if _is_valid(start, parameter)]


def _candidates(start: EasyRecConfig) -> Iterator[TuneParameter]:
    for name in ("dense", "sparse"):
        path = f"train_config.{name}_optimizer"
        member = registry.oneof_member(getattr(start.train_config, f"{name}_optimizer"), "optimizer")
        if member is not None:
            optimizer_path, fields = f"{path}.{member[0].name}", fields_of(member[1])
            if "lr" in fields:
                yield TuneParameter(name=f"{name}_lr", path=[f"{optimizer_path}.lr"], relative=True, float_range=_RATES)
            if name == "dense" and "weight_decay" in fields:
                values = sorted({*_WEIGHT_DECAYS, member[1].weight_decay})  # type: ignore[attr-defined]
                choices = {"value": [f"{value:g}" for value in values]}
                yield TuneParameter(name="weight_decay", path=[f"{optimizer_path}.weight_decay"], choices=choices)
    batch = start.data_config.batch_size
    sizes = [str(round(batch * factor)) for factor in _BATCH_FACTORS if batch * factor >= 1]
    yield TuneParameter(name="batch_size", path=["data_config.batch_size"], choices={"value": sizes})
    dims = list(_set_fields("", start, "embedding_dim", ("feature_configs",)))
    if dims:
        yield TuneParameter(name="dims", path=dims, relative=True, float_range=_DIMS)
    widths = list(_set_fields("", start, "hidden_units", ("model_config",)))
    if widths:
        yield TuneParameter(name="widths", path=widths, relative=True, float_range=_WIDTHS)
        dropouts = [f"{path.removesuffix('hidden_units')}dropout_ratio" for path in widths]
        yield TuneParameter(name="dropout", path=dropouts, float_range=_DROPOUT)
    for path in _set_fields("", start, "num_expert", ("model_config",)):
        count = _value_at(start, path)
        span = {"min": max(1, count // 2), "max": 2 * count + 2}
        yield TuneParameter(name="experts", path=[path], int_range=span)


def _set_fields(path: str, message: Message, name: str, roots: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the paths of all fields of a name below a message that hold something other than zero."""
    if getattr(message, name, None):
        yield join(path, name)
    for child_path, child in children(path, message):
        if not roots or child_path.partition("[")[0] in roots:
            yield from _set_fields(child_path, child, name)


def _value_at(config: EasyRecConfig, path: str) -> int:
    message: object = config
    for name in path.split("."):
        message = getattr(message, name)
    assert isinstance(message, int)
    return message


def _is_valid(start: EasyRecConfig, config: TuneParameter) -> bool:
    parameter = Parameter(config.name, config, start)
    for value in parameter.limits:
        edited = copy_config(start)
        _, problems = edit(edited, parameter.edits(value))
        if problems or check(ConfigSource(edited)):
            return False
    return True
