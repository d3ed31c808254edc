"""Arguments of the Python API: their kinds, and the errors of those that are something else."""

from __future__ import annotations

import functools
import inspect
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, ParamSpec, TypeVar, get_args

from google.protobuf.message import Message

from tzrec.config.load import ConfigInput, ConfigText
from tzrec.data.existing import Existing
from tzrec.errors import TzrecError, UsageError, explain, is_encodable, shorten_middle
from tzrec.log import ignore_library_warnings
from tzrec.protos.data_pb2 import DataConfig
from tzrec.protos.model_pb2 import FeatureGroupConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.train_pb2 import TrainConfig

AnyPath = str | PathLike[str]
AnyConfig = str | PathLike[str] | EasyRecConfig
"""Config of a function: its path, its text or its message."""
AnyData = Any
"""Comma list of globs, or a frame: a pyarrow Table, a pandas or polars frame, a dict of columns."""
_P = ParamSpec("_P")
_R = TypeVar("_R")


def guarded(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a function of the API: a wrong argument is a UsageError, and so is a file that the system refuses."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        arguments = signature.bind(*args, **kwargs).arguments
        for name, value in arguments.items():
            kind, is_valid = _KINDS[signature.parameters[name].annotation.removesuffix(" | None")]
            is_optional = signature.parameters[name].default is None
            if not is_valid(value) and not (is_optional and value is None):
                raise UsageError(f"{function.__name__}: {name} must be {kind}; received {shorten_middle(repr(value))}")
        try:
            with warnings.catch_warnings():
                ignore_library_warnings()
                return function(*args, **kwargs)
        except TzrecError:
            raise
        except Exception as error:
            explained = explain(error, {name: value for name, value in arguments.items() if _names_file(value)})
            if explained is None:
                raise
            raise explained from error

    return wrapped


def to_input(config: AnyConfig) -> ConfigInput:
    """Tell the text of a config from its path."""
    if isinstance(config, EasyRecConfig):
        return config
    return ConfigText(config) if isinstance(config, str) and _is_text(config) else fspath(config)


def _is_text(value: object) -> bool:
    """True for the text of a config: it has a section or several lines, and is not the name of a file."""
    return isinstance(value, str) and ("{" in value or "\n" in value) and not os.path.exists(value)


def _names_file(value: object) -> bool:
    return isinstance(value, PathLike) or (isinstance(value, str) and not _is_text(value))


def _is_path(value: object) -> bool:
    path = value.__fspath__() if isinstance(value, PathLike) else value
    return isinstance(path, str) and is_encodable(path)


def _is_data(value: object) -> bool:
    if isinstance(value, (str, bytes, PathLike)):
        return _is_path(value)
    return isinstance(value, Mapping) or hasattr(value, "__arrow_c_stream__")


def _is_message(value: object) -> bool:
    return isinstance(value, Message)


def _is_list(value: object, is_item: Callable[[object], bool]) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and all(map(is_item, value))


_KINDS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "AnyPath": ("a path in UTF-8 without NUL characters", _is_path),
    "AnyConfig": (
        "a path in UTF-8 without NUL characters, a text or an EasyRecConfig message",
        lambda value: isinstance(value, EasyRecConfig) or _is_path(value),
    ),
    "AnyData": ("a path, or a frame of pyarrow, pandas (2.2 or newer) or polars, or a dict of columns", _is_data),
    "Message": ("a message of tzrec.protos", _is_message),
    "TrainConfig": ("a TrainConfig message", lambda value: isinstance(value, TrainConfig)),
    "DataConfig": ("a DataConfig message", lambda value: isinstance(value, DataConfig)),
    "Sequence[Message]": ("a list of messages of tzrec.protos", lambda value: _is_list(value, _is_message)),
    "Sequence[FeatureGroupConfig]": (
        "a list of FeatureGroupConfig messages",
        lambda value: _is_list(value, lambda item: isinstance(item, FeatureGroupConfig)),
    ),
    "Sequence[AnyPath]": ("a list of paths", lambda value: _is_list(value, _is_path)),
    "Existing": (
        "one of refuse, overwrite and append",
        lambda value: isinstance(value, str) and value in get_args(Existing),
    ),
    "Sequence[str]": ("a list of strings", lambda value: _is_list(value, lambda item: isinstance(item, str))),
    "Sequence[Listener]": (
        "a list of listeners",
        lambda value: _is_list(value, lambda item: callable(getattr(item, "on_step", None))),
    ),
    "Mapping[str, Any]": (
        "a mapping of field paths to values",
        lambda value: isinstance(value, Mapping) and all(isinstance(key, str) for key in value),
    ),
    "Mapping[str, str]": (
        "a mapping of names to strings",
        lambda value: (
            isinstance(value, Mapping) and all(isinstance(item, str) for pair in value.items() for item in pair)
        ),
    ),
    "int": ("a whole number from 1 up", lambda value: type(value) is int and value > 0),
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    "str": ("a string", lambda value: isinstance(value, str)),
}
"""Annotation of a parameter -> its description, and the test of a value."""
