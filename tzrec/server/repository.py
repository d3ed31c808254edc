"""Repository: the models of a directory and their versions, loaded while others answer.

    DIR                      a package: one model, named after the directory, version 1
    DIR/<version>            packages in directories that are numbers: versions of one model
    DIR/<model>              packages: several models, version 1 each
    DIR/<model>/<version>    versions of several models

The directory may be one of a store, whose packages are copied to this machine. The greatest version answers. A new one,
or a package that was written again, is loaded in a thread of its own, and answers once it is warm; requests in flight
end with the version that they began with. Where the greatest version is removed the next one answers again. Where
nothing is left, which is rather a mount or a store that is gone than a wish, the loaded versions go on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tzrec import env
from tzrec.config.names import did_you_mean
from tzrec.errors import PackageError, TzrecError, UsageError
from tzrec.log import logger
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.server.errors import NOT_FOUND, UNAVAILABLE, RequestError
from tzrec.server.metrics import Metrics
from tzrec.server.model import ServedModel
from tzrec.server.request_logger import RequestLogger
from tzrec.serving.fetch import local_package
from tzrec.serving.manifest_file import MANIFEST
from tzrec.serving.package_manifest import PackageManifest
from tzrec.storage.path import AnyPath, StoreStat, to_path

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
    stamps: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
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
        root = to_path(config.model_path)
        self._root, self._config, self._metrics = root, config, metrics
        self._request_logger, self._is_empty = request_logger, False
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

    @contextmanager
    def using(self, name: str, version: str = "") -> Iterator[ServedModel]:
        """Return a model that answers until the end of the context, even if another version replaces it meanwhile.

        Args:
            name: of the model.
            version: a loaded version; empty for the one that answers.

        Raises:
            RequestError: there is none.
        """
        model = self.get(name, version)
        while not model.acquire():  # closed since, and no longer among the loaded ones
            model = self.get(name, version)
        try:
            yield model
        finally:
            model.release()

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
            packages = packages_of(self._root)
            if not packages and not self._is_empty:
                logger.error("serve  %s has no package any more; the loaded versions go on", self._root)
            self._is_empty = not packages
            if not packages:
                return errors
            for name, paths in packages.items():
                errors += self._refresh_model(name, paths)
            removed = {name: served for name, served in self._models.items() if name not in packages}
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

    def _refresh_model(self, name: str, paths: Mapping[str, AnyPath]) -> list[TzrecError]:
        served = self._served(name)
        errors: list[TzrecError] = []
        if served.is_unloaded:
            return errors
        served.failed = {version: failure for version, failure in served.failed.items() if version in paths}
        for version in sorted(paths, key=int)[-self._config.versions.num_loaded :]:
            stamp = _stamp(paths[version])
            if stamp in (None, served.stamps.get(version), served.failed.get(version, ("", ""))[0]):
                continue
            try:
                model = self._load(name, version, paths[version])
            except Exception as error:  # of torch as well, for which no version that answers may be lost
                logger.error("serve  %s %s cannot be loaded: %s", name, version, error)
                served.failed = {**served.failed, version: (stamp or "", str(error))}
                errors.append(error if isinstance(error, TzrecError) else PackageError(f"{paths[version]}: {error}"))
                continue
            served.failed = {failed: failure for failed, failure in served.failed.items() if failed != version}
            replaced = served.loaded.get(version)
            served.loaded = {**served.loaded, version: model}
            served.stamps = {**served.stamps, version: stamp or ""}
            self._metrics.set_ready(name, version, True)
            logger.info("serve  model %s, version %s is ready", name, version)
            if replaced is not None:
                replaced.close()
        current = [version for version in served.loaded if version in paths]
        kept = sorted(current, key=int)[-self._config.versions.num_loaded :]
        self._drop(served, [version for version in served.loaded if version not in kept])
        return errors

    def _load(self, name: str, version: str, path: AnyPath) -> ServedModel:
        needed = sum(file.size for file in PackageManifest.read(path).files.values())
        if needed > env.available_memory():
            free = f"{env.available_memory() / 1e6:.0f} MB are left for this process"
            raise PackageError(f"{path} needs {needed / 1e6:.0f} MB, but {free}; give it more, or num_loaded: 1")
        local = local_package(path)
        return ServedModel(name, version, local, self._config.queue, self._metrics, self._request_logger)

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
        served.stamps = {version: stamp for version, stamp in served.stamps.items() if version in served.loaded}
        for model in dropped:
            self._metrics.set_ready(model.name, model.version, False)
            model.close()


def packages_of(root: AnyPath) -> dict[str, dict[str, AnyPath]]:
    """Find the packages of a directory: path by version, by model.

    Raises:
        StoreError: the store of the directory does not answer.
    """
    name = root.resolve().name if isinstance(root, Path) else root.name
    if _is_package(root):
        return {name: {_ONLY_VERSION: root}}
    folders = _folders(root)
    versions = _versions(folders)
    if versions:
        return {name: versions}
    models: dict[str, dict[str, AnyPath]] = {}
    for folder in folders:
        packages = {_ONLY_VERSION: folder} if _is_package(folder) else _versions(_folders(folder))
        if packages:
            models[folder.name] = packages
    return models


def _folders(root: AnyPath) -> list[AnyPath]:
    """Directories in a directory, in sorted order; none where it does not exist."""
    if isinstance(root, Path) and not root.is_dir():
        return []
    return sorted((path for path in root.iterdir() if path.is_dir()), key=str)


def _versions(folders: list[AnyPath]) -> dict[str, AnyPath]:
    numbered = [path for path in folders if path.name.isascii() and path.name.isdigit()]
    return {path.name: path for path in numbered if _is_package(path)}


def _is_package(path: AnyPath) -> bool:
    return (path / MANIFEST).is_file()


def _stamp(path: AnyPath) -> str | None:
    """Return what changes when a package is written again; None if it is gone."""
    try:
        stat = (path / MANIFEST).stat()
    except FileNotFoundError:
        return None
    return stat.version if isinstance(stat, StoreStat) else f"{stat.st_mtime_ns} {stat.st_ino}"
