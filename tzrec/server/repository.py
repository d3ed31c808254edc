"""Repository: the models of a directory and their versions, loaded while others answer.

    DIR                      a package: one model, named after the directory, version 1
    DIR/<version>            packages in directories that are numbers: versions of one model
    DIR/<model>              packages: several models, version 1 each
    DIR/<model>/<version>    versions of several models

The greatest version answers. A new one is loaded in a thread of its own, and answers once it is warm; requests in
flight end with the version that they began with. Where the greatest version is removed the next one answers again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tzrec.config.names import did_you_mean
from tzrec.errors import TzrecError, UsageError
from tzrec.log import logger
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.server.errors import NOT_FOUND, UNAVAILABLE, RequestError
from tzrec.server.metrics import Metrics
from tzrec.server.model import ServedModel
from tzrec.server.request_logger import RequestLogger
from tzrec.serving.manifest_file import MANIFEST

_ONLY_VERSION = "1"
READY, FAILED = "READY", "UNAVAILABLE"


@dataclass(frozen=True)
class VersionState:
    """State of a version.

    Attributes:
        name: of the model.
        version: of the model.
        state: READY or FAILED.
        reason: the error of a version that failed, or that a client unloaded it.
    """

    name: str
    version: str
    state: str
    reason: str = ""


@dataclass
class _Served:
    """The versions of a model that are loaded, and those that are not by a client's wish or by an error.

    Requests read the mappings while a version is loaded, so they are replaced and never changed.
    """

    loaded: Mapping[str, ServedModel] = field(default_factory=dict)
    failed: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    is_unloaded: bool = False
    unloaded: Sequence[str] = ()

    def current(self) -> ServedModel | None:
        """The version that answers."""
        loaded = self.loaded
        return loaded[max(loaded, key=int)] if loaded else None


class Repository:
    """Models of a directory. Threads may share it.

    Args:
        config: of the server; `model_path` is the directory, see above.
        metrics: of the server.
        request_logger: logs the requests; None for no log.

    Raises:
        UsageError: the directory has no package.
        PackageError: no version of any model can be loaded.
    """

    def __init__(self, config: ServeConfig, metrics: Metrics, request_logger: RequestLogger | None = None) -> None:
        root = Path(config.model_path)
        self._root, self._config, self._metrics = root, config, metrics
        self._request_logger = request_logger
        self._models: Mapping[str, _Served] = {}  # replaced and never changed, as those of _Served
        self._loading = threading.Lock()  # one scan at a time; requests take no lock
        if not root.exists():
            raise UsageError(f"--model_path {root} does not exist; give the --export_dir of an export, or its parent")
        if not packages_of(root):
            raise UsageError(f"--model_path {root} has no package; give the --export_dir of an export, or its parent")
        errors = self.refresh()
        if not any(served.loaded for served in self._models.values()):
            raise errors[0]

    @property
    def is_ready(self) -> bool:
        """True if every model that is not unloaded answers."""
        return all(served.current() for served in self._models.values() if not served.is_unloaded)

    def get(self, name: str, version: str = "") -> ServedModel:
        """Return a model.

        Args:
            name: of the model.
            version: a loaded version; empty for the one that answers.

        Raises:
            RequestError: there is none.
        """
        models = self._models
        if name not in models:
            raise RequestError(f'no model "{name}"{did_you_mean(name, models)}', NOT_FOUND)
        served = models[name]
        if version:
            loaded = served.loaded
            if version not in loaded:
                known = ", ".join(sorted(loaded, key=int)) or "none"
                raise RequestError(f'model "{name}" has no version {version}; loaded: {known}', NOT_FOUND)
            return loaded[version]
        current = served.current()
        if current is None:
            raise RequestError(f'model "{name}" is not loaded', UNAVAILABLE)
        return current

    def versions(self, name: str) -> list[str]:
        """Loaded versions of a model, the one that answers last."""
        return sorted(self._models[name].loaded, key=int)

    def index(self) -> list[VersionState]:
        """State of every version that is loaded or failed, and of every unloaded model."""
        states: list[VersionState] = []
        for name, served in self._models.items():
            states += [VersionState(name, version, READY) for version in sorted(served.loaded, key=int)]
            states += [VersionState(name, version, FAILED, why) for version, (_, why) in served.failed.items()]
            if served.is_unloaded:
                states += [VersionState(name, version, FAILED, "unloaded by a client") for version in served.unloaded]
        return states

    def refresh(self) -> list[TzrecError]:
        """Load new versions and unload removed ones.

        Returns:
            the errors of versions that cannot be loaded; each is tried again when its package changes.
        """
        errors: list[TzrecError] = []
        with self._loading:
            for name, paths in packages_of(self._root).items():
                errors += self._refresh_model(name, paths)
            removed = {name: served for name, served in self._models.items() if name not in packages_of(self._root)}
            self._models = {name: served for name, served in self._models.items() if name not in removed}
            for name, served in removed.items():
                self._unload(name, served)
        return errors

    def load(self, name: str) -> None:
        """Load a model again that was unloaded, and its new versions.

        Raises:
            RequestError: there is no such package, or it cannot be loaded.
        """
        if name not in packages_of(self._root):
            raise RequestError(f'{self._root} has no package of a model "{name}"', NOT_FOUND)
        with self._loading:
            served = self._served(name)
            served.is_unloaded = False
            served.failed = {}
            errors = self._refresh_model(name, packages_of(self._root)[name])
        if errors:
            raise RequestError(str(errors[0]))

    def unload(self, name: str) -> None:
        """Unload a model until it is loaded again; requests in flight are answered.

        Raises:
            RequestError: there is none.
        """
        self.get(name)
        with self._loading:
            self._models[name].is_unloaded = True
            self._models[name].unloaded = sorted(self._models[name].loaded, key=int)
            self._unload(name, self._models[name])

    def close(self) -> None:
        """Answer what is waiting and unload all models."""
        with self._loading:
            for name, served in self._models.items():
                self._unload(name, served)

    def _refresh_model(self, name: str, paths: Mapping[str, Path]) -> list[TzrecError]:
        served = self._served(name)
        errors: list[TzrecError] = []
        if served.is_unloaded:
            return errors
        served.failed = {version: failure for version, failure in served.failed.items() if version in paths}
        newest = sorted(paths, key=int)[-self._config.versions.num_loaded :]
        for version in [version for version in newest if version not in served.loaded]:
            changed_at = (paths[version] / MANIFEST).stat().st_mtime
            if served.failed.get(version, (None, ""))[0] == changed_at:
                continue
            try:
                queue, path = self._config.queue, paths[version]
                model = ServedModel(name, version, path, queue, self._metrics, self._request_logger)
            except TzrecError as error:
                logger.error("serve  %s %s cannot be loaded: %s", name, version, error)
                served.failed = {**served.failed, version: (changed_at, str(error))}
                errors.append(error)
                continue
            served.failed = {name: failure for name, failure in served.failed.items() if name != version}
            served.loaded = {**served.loaded, version: model}
            self._metrics.set_ready(name, version, True)
            logger.info("serve  model %s, version %s is ready", name, version)
        current = [version for version in served.loaded if version in paths]
        kept = sorted(current, key=int)[-self._config.versions.num_loaded :]
        self._drop(served, [version for version in served.loaded if version not in kept])
        return errors

    def _served(self, name: str) -> _Served:
        if name not in self._models:
            self._models = {**self._models, name: _Served()}
        return self._models[name]

    def _unload(self, name: str, served: _Served) -> None:
        self._drop(served, list(served.loaded))
        logger.info("serve  model %s is unloaded", name)

    def _drop(self, served: _Served, versions: list[str]) -> None:
        dropped = [served.loaded[version] for version in versions]
        served.loaded = {version: model for version, model in served.loaded.items() if model not in dropped}
        for model in dropped:
            self._metrics.set_ready(model.name, model.version, False)
            model.close()


def packages_of(root: Path) -> dict[str, dict[str, Path]]:
    """Find the packages of a directory: path by version, by model."""
    name = root.resolve().name
    if _is_package(root):
        return {name: {_ONLY_VERSION: root}}
    versions = _versions(root)
    if versions:
        return {name: versions}
    models: dict[str, dict[str, Path]] = {}
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        packages = {_ONLY_VERSION: folder} if _is_package(folder) else _versions(folder)
        if packages:
            models[folder.name] = packages
    return models


def _versions(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.glob("*") if path.name.isdigit() and _is_package(path)}


def _is_package(path: Path) -> bool:
    return (path / MANIFEST).is_file()
