"""Import of the weights of a checkpoint of TorchEasyRec, a directory of torch.distributed.checkpoint.

Its description `.metadata` is a pickle. It is read by an unpickler that accepts the few classes of such a description
and nothing else, so that a checkpoint cannot run code; tensors are read without pickle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import torch
from torch import Tensor

from tzrec.checkpoint.lease import lock_directory
from tzrec.checkpoint.manifest import CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.restore import restore, stored_types
from tzrec.checkpoint.saver import Saver
from tzrec.checkpoint.store import list_checkpoints
from tzrec.config.load import dump_config
from tzrec.errors import CheckpointError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.migration.origin import Origin, Origins
from tzrec.migration.origins import find_origins
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.storage.path import AnyPath, to_path

_WRAPPERS = frozenset(("_dmp_wrapped_module", "module", "_orig_mod"))
"""Parts of names that wrappers of modules add."""

_CONSTANTS = frozenset(("windows_len", "cumsum_windows_len", "feature_dim_repeat", "triu_indices"))
"""Tensors of TorchEasyRec that follow from the config."""

_CONFIG = "pipeline.config"
_OTHER_PARTS = ("optimizer", "dense_ema", "dynamicemb")


@dataclass(frozen=True)
class ImportResult:
    """Outcome of an import.

    Attributes:
        loaded: tensor of the model -> tensors of the checkpoint from which it was made.
        missing: tensor of the model -> the names that it would have in the checkpoint.
        mismatched: tensor of the model -> description of the difference.
        unused: tensor of the checkpoint -> its size.
        ignored: directories of the checkpoint that are not read.
    """

    loaded: Mapping[str, Sequence[str]]
    missing: Mapping[str, str]
    mismatched: Mapping[str, str]
    unused: Mapping[str, tuple[int, ...]]
    ignored: Sequence[str] = ()

    @property
    def is_complete(self) -> bool:
        return not (self.missing or self.mismatched)

    def lines(self) -> list[str]:
        """Describe what was loaded and what was not, one line for each tensor that was not."""
        total = len(self.loaded) + len(self.missing) + len(self.mismatched)
        lines = [f"loaded      {len(self.loaded)} of {total} tensors of the model"]
        lines += [f"missing     {name}: the checkpoint has no {names}" for name, names in self.missing.items()]
        lines += [f"mismatched  {name}: {difference}" for name, difference in self.mismatched.items()]
        lines += [f"not used    {name} {list(size)}" for name, size in self.unused.items()]
        return lines + [f"not read    {part}/ of the checkpoint" for part in self.ignored]


def import_checkpoint(config: EasyRecConfig, checkpoint: str, is_partial: bool = False) -> tuple[ImportResult, AnyPath]:
    """Write the weights of a checkpoint of TorchEasyRec as one of this project, and the config, to `config.model_dir`.

    It holds no optimizer state: train from it with `--fine_tune_checkpoint`.

    Args:
        config: checked config of the model.
        checkpoint: directory `model.ckpt-<step>`, or a directory with one part, as `model`.
        is_partial: write a checkpoint although tensors of the model are missing; they have their initial values.

    Returns:
        The outcome and the path of the checkpoint.

    Raises:
        ConfigError: TorchEasyRec has no such model.
        CheckpointError: the checkpoint cannot be read, tensors are missing, or model_dir holds checkpoints.
    """
    torch.manual_seed(config.train_config.seed)
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    model = build_model(config, encoder.features)
    result = load_original(model, config, to_path(checkpoint))
    if not result.loaded or not (result.is_complete or is_partial):
        lines = "\n  ".join(result.lines())
        cure = "" if not result.loaded else "\n--partial writes it all the same, with initial values for these tensors"
        raise CheckpointError(f"{checkpoint} does not match the model of this config:\n  {lines}{cure}")
    return result, _write(model, config)


def load_original(model: RecModel, config: EasyRecConfig, checkpoint: AnyPath) -> ImportResult:
    """Fill the tensors of a model from a checkpoint of TorchEasyRec.

    Raises:
        ConfigError: TorchEasyRec has no such model.
        CheckpointError: the checkpoint cannot be read.
    """
    origins = find_origins(model, config.model_config)
    directory = checkpoint / "model" if (checkpoint / "model").is_dir() else checkpoint
    if not (directory / ".metadata").is_file():
        raise CheckpointError(f"{checkpoint} is not a checkpoint: it has neither model/.metadata nor .metadata")
    stored = _Stored(directory)
    parameters = {name for name, _ in model.named_parameters()}
    loaded: dict[str, Sequence[str]] = {}
    missing: dict[str, str] = {}
    mismatched: dict[str, str] = {}
    for name, target in model.state_dict().items():
        if name not in origins:
            if name in parameters:
                missing[name] = "counterpart of it"
            continue
        names, origin = stored.find(origins[name])
        if origin is None:
            missing[name] = " or ".join(dict.fromkeys(candidate.names[0] for candidate in origins[name]))
        elif difference := stored.fill(target, names, origin):
            mismatched[name] = difference
        else:
            loaded[name] = names
    used = {name for names in loaded.values() for name in names}
    unused = {name: size for name, size in stored.sizes.items() if not _is_known(name, used)}
    ignored = [part for part in _OTHER_PARTS if directory != checkpoint and (checkpoint / part).is_dir()]
    return ImportResult(loaded, missing, mismatched, unused, ignored)


def _is_known(name: str, used: Iterable[str]) -> bool:
    return name in used or name.rpartition(".")[2] in _CONSTANTS


class _Stored:
    """Tensors of a checkpoint.

    Attributes:
        sizes: by name, without the parts that wrappers add.
    """

    def __init__(self, directory: AnyPath) -> None:
        self._directory = directory
        types = stored_types(directory)
        self._name_by_plain = {_plain(name): name for name in types}
        self._types = {_plain(name): entry for name, entry in types.items()}
        self.sizes = {name: size for name, (size, _) in self._types.items()}

    def find(self, origins: Origins) -> tuple[list[str], Origin | None]:
        """Return the first origin whose tensors are stored, and their names."""
        for origin in origins:
            names = [self._find(name) for name in origin.names]
            if all(names):
                return [name for name in names if name], origin
        return [], None

    def _find(self, name: str) -> str | None:
        """Return the name under which a tensor is stored, None if it is not stored or not without doubt."""
        if name in self._types:
            return name
        for candidates in (_as_list(name, self.sizes), _in_towers(name, self.sizes)):
            if len(candidates) == 1:
                return candidates[0]
        return None

    def fill(self, target: Tensor, names: Sequence[str], origin: Origin) -> str:
        """Set a tensor; return the difference that prevents it, "" if there is none."""
        if origin.make is None:
            if self.sizes[names[0]] != tuple(target.shape):
                return f"{list(self.sizes[names[0]])} in the checkpoint, {list(target.shape)} in the model"
            self._read({names[0]: target})
            return ""
        values = {name: torch.empty(*self._types[name][:1], dtype=self._types[name][1]) for name in names}
        self._read(values)
        try:
            value = origin.make(*values.values())
        except (RuntimeError, IndexError) as error:
            return f"{[list(value.shape) for value in values.values()]} in the checkpoint: {error}"
        if value.shape != target.shape:
            return f"{list(value.shape)} in the checkpoint, {list(target.shape)} in the model"
        with torch.no_grad():
            target.copy_(value)
        return ""

    def _read(self, values: Mapping[str, Tensor]) -> None:
        restore(self._directory, values, {name: self._name_by_plain[name] for name in values})


def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _as_list(name: str, sizes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Find `ec_dict.<width>.<rest>` under its old name `ec_list.<number>.<rest>`, by its width."""
    before, separator, after = name.partition(".ec_dict.")
    width, _, rest = after.partition(".")
    if not separator:
        return []
    pattern = f"{before}.ec_list.*.{rest}"
    return [key for key, size in sizes.items() if PurePosixPath(key).match(pattern) and size[-1] == int(width)]


def _in_towers(name: str, sizes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Find the dropout of the features of a group in the tower that reads the group."""
    prefix, ending = "model.group_variational_dropouts.", name.removeprefix("model")
    return [key for key in sizes if key.endswith(f"_tower{ending}")] if name.startswith(prefix) else []


def _write(model: RecModel, config: EasyRecConfig) -> AnyPath:
    model_dir = to_path(config.model_dir)
    with lock_directory(model_dir) as lock:
        if list_checkpoints(model_dir):
            raise CheckpointError(f"{model_dir} already holds checkpoints; choose another --model_dir")
        manifest = CheckpointManifest(Position(step=0), columns=model.embedding_group.columns())
        saver = Saver(model_dir, keep=0, protected=lambda older: older, ensure_locked=lock.ensure_held)
        saved = saver.save(manifest, {"model": model.state_dict()}, plan="{}", is_frozen=True)
        saver.finish()
        (model_dir / _CONFIG).write_text(dump_config(config))
    return saved.path
