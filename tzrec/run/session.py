"""Session: what a command assembles from a config, a checkpoint or a package on one rank.

config -> CPU settings -> process group -> feature encoder -> data loader -> model -> weights of a checkpoint
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal
from weakref import WeakSet

import torch
from torchrec.distributed.model_parallel import DistributedModelParallel

from tzrec import env
from tzrec.checkpoint import store
from tzrec.checkpoint.file_record import FileRecord
from tzrec.checkpoint.manifest import NAME
from tzrec.checkpoint.store import Checkpoint
from tzrec.config.checker import Checker
from tzrec.config.eval_split import evaluation_path, is_held_out
from tzrec.config.load import ConfigSource
from tzrec.config.rules.table_bytes import check_table_bytes
from tzrec.data.batch import Batch
from tzrec.data.listing import pin_versions
from tzrec.data.loader import DataLoader, Mode
from tzrec.distributed import group
from tzrec.distributed.shard import dense_parameters, shard
from tzrec.env import RankInfo
from tzrec.errors import CheckpointError, ConfigError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.formatting import format_count
from tzrec.log import logger
from tzrec.models.base import ModelOutput, RecModel
from tzrec.models.build import build_model
from tzrec.ops.autocast import autocast_type
from tzrec.optim.average import uses_average
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run import cpu
from tzrec.run.device import available_device
from tzrec.run.resume import agree_on_checkpoint
from tzrec.storage.path import AnyPath, to_path
from tzrec.tables.plan_summary import SavedPlan, plan_rows, render

if TYPE_CHECKING:
    from tzrec.checkpoint.saver import Tensors
    from tzrec.serving.predictor import Scorer

Purpose = Literal["evaluation", "serving"]


class Session:
    """Feature encoder, model and process group of one rank.

    A context manager: leaving it stops the threads that read data and destroys the process group.

    Attributes:
        config: checked, with edits and flags applied.
        rank_info: this rank among its peers.
        cpu: CPU settings in force.
        device: device of this rank.
        encoder: encodes raw columns as features.
        model: sharded model, the one to call. Set by `build` and by `load` for evaluation.
        rec_model: the same model without wrappers; unsharded, on the CPU and in eval mode after `load` for serving.
        step: last trained step of the loaded checkpoint or package; -1 of a new session.
        checkpoint_path: the loaded checkpoint, None without one.
        weights_digest: of the manifest of the loaded checkpoint or package, which lists the digests of its files.
        checkpoint_digest: of the manifest of the loaded checkpoint, or of the one that the package was exported from.
    """

    model: DistributedModelParallel
    rec_model: RecModel

    def __init__(self, config: EasyRecConfig, rank_info: RankInfo) -> None:
        """Configure the CPU, join the process group and build the feature encoder; use `new` or `load` instead."""
        self.config = config
        self.rank_info = rank_info
        self.step = -1
        self.checkpoint_path: AnyPath | None = None
        self.weights_digest = self.checkpoint_digest = ""
        self.cpu = cpu.configure_cpu(config.train_config)
        self.device = group.init(rank_info, config.train_config.rank_timeout_s)
        self._autocast = autocast_type(config.train_config.mixed_precision, self.device.type)
        self._loaders: WeakSet[DataLoader] = WeakSet()  # a run opens one for each evaluation
        self._table_versions: dict[str, str] = {}  # a table that grows does not change the data of a run
        self._program: Scorer | None = None
        _set_tf32(config)
        try:
            self.encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
        except BaseException as error:
            self.close(error)
            raise

    @classmethod
    def new(cls, config: EasyRecConfig) -> Session:
        """Start a session without weights; `build` builds its model.

        Raises:
            ConfigError: the embedding tables need more memory than there is.
        """
        _ensure_memory(config, has_state=True)
        return cls(config, env.rank_info())

    @classmethod
    def load(
        cls,
        config: EasyRecConfig,
        checkpoint_path: str | None = None,
        package_path: str | None = None,
        purpose: Purpose = "evaluation",
        rank_info: RankInfo | None = None,
    ) -> Session:
        """Start a session with the weights of a checkpoint, or with the compiled model of a package.

        Args:
            config: checked, with edits and flags applied; the config of the package if one is given.
            checkpoint_path: a checkpoint, or a model directory for its newest valid checkpoint. Default: from
                `model_dir` the newest one for evaluation, the one that `export_config` selects for serving.
            package_path: an exported package to load instead of a checkpoint.
            purpose: "evaluation" builds the sharded model, "serving" an unsharded one on the CPU. The moving average of
                the dense parameters is loaded if `eval_config` or `export_config` asks for it.
            rank_info: default: from the environment.

        Raises:
            CheckpointError: there is no checkpoint, it is damaged, or it does not match the model of the config.
            PackageError: the package is missing, damaged or too new.
            ConfigError: the embedding tables of the checkpoint need more memory than there is.
        """
        if package_path is None:
            _ensure_memory(config, has_state=purpose == "evaluation")
        session = cls(config, rank_info or env.rank_info())
        try:
            if package_path is not None:
                session._load_package(package_path)
            else:
                session._load_checkpoint(checkpoint_path, purpose)
        except BaseException as error:
            session.close(error)
            raise
        return session

    @property
    def model_dir(self) -> AnyPath:
        return to_path(self.config.model_dir)

    def loader(self, path: str, mode: Mode, batch_size: int | None = None) -> DataLoader:
        """Open files as batches for this rank, together with all other ranks; `close` stops their threads."""
        rank, world_size, seed = self.rank_info.rank, self.rank_info.world_size, self.config.train_config.seed
        exchange = group.exchange(self.rank_info)
        path = pin_versions(path, self._table_versions)
        loader = DataLoader(self.config, self.encoder, path, mode, rank, world_size, batch_size, seed, exchange)
        loader.device = self.device
        self._table_versions |= loader.table_versions
        self._loaders.add(loader)
        return loader

    @property
    def evaluation_batch_size(self) -> int:
        """Rows of a batch of an evaluation on this rank."""
        return self.config.data_config.eval_batch_size or self.config.data_config.batch_size

    def evaluation_loader(self, batch_size: int | None = None) -> DataLoader:
        """Open the data of evaluations, see `loader`."""
        data, path = self.config.data_config, evaluation_path(self.config)
        if not is_held_out(self.config):
            return self.loader(path, "eval", batch_size)
        batch_size = batch_size or self.evaluation_batch_size
        # of the rows that are read only a few are evaluated
        return self.loader(path, "held_out", math.ceil(batch_size / (data.eval_split.fraction or 1)))

    def build(self, plan: SavedPlan | None = None) -> None:
        """Build and shard the model on all ranks: with the same weights, but a seed of its own for dropout on each.

        Args:
            plan: sharding plan of a checkpoint, followed where it is still valid.
        """
        seed = self.config.train_config.seed
        torch.manual_seed(seed)
        meta = torch.device("meta")
        rec_model = build_model(self.config, self.encoder.features, table_device=meta, compute_device=self.device)
        self.model = shard(rec_model, self.config, self.device, plan)
        self.rec_model = self.model.module
        torch.manual_seed(seed + 1 + self.rank_info.rank)

    def forward(self, batch: Batch) -> tuple[ModelOutput, Batch]:
        """Run the model on a batch; return its output and the batch on the device of the model."""
        if self.device.type != "cpu":
            batch = batch.to(self.device, non_blocking=True)
        return self.run_model(batch), batch

    def run_model(self, batch: Batch) -> ModelOutput:
        """Run the model on a batch that is on its device."""
        with torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None):
            output: ModelOutput = self.model(batch)
        return output

    def scorer(self) -> Scorer:
        """Return the loaded package, or the model of the checkpoint that was loaded for serving."""
        if self._program is not None:
            return self._program
        from tzrec.serving.servable import Servable
        from tzrec.serving.trained_model import precision_of

        return Servable.from_model(self.rec_model, precision_of(self.config))

    def log_summary(self) -> None:
        """Log the model, the sharding plan and the CPU settings."""
        dims = self.rec_model.embedding_group.dims
        tasks = list(self.rec_model.heads)
        model = self.config.model_config.WhichOneof("model")
        num_dense = sum(parameter.numel() for _, parameter in dense_parameters(self.model))
        tasks_text = f"{len(tasks)} tasks: {', '.join(tasks)}" if len(tasks) > 1 else "1 task"
        groups = ", ".join(f'{len(dims.features(name))} features in group "{name}" ({dims[name]})' for name in dims)
        logger.info("model  %s  %s   dense %s parameters   %s", model, tasks_text, format_count(num_dense), groups)
        rows = plan_rows(self.rec_model, self.model.plan, self.config.train_config)
        logger.info("plan   %s", render(rows).replace("\n", "\n       "))
        logger.info("cpu    %s", self.cpu)
        if self.rank_info.world_size > 1:
            logger.info(
                "ranks  %d; one for which the others wait longer than %d s ends the run (train_config.rank_timeout_s)",
                self.rank_info.world_size,
                self.config.train_config.rank_timeout_s,
            )

    def close(self, error: BaseException | None = None) -> None:
        """Stop the threads that read data and destroy the process group.

        Args:
            error: that ends the session, for the other ranks.

        Raises:
            TrainingError: the given error is that of a lost rank, which this one names.
        """
        for loader in self._loaders:
            loader.close()
        lost = group.close(error)
        if lost:
            raise lost from error

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close(error)

    def _load_package(self, path: str) -> None:
        from tzrec.serving.fetch import local_package
        from tzrec.serving.package import MANIFEST, open_package

        directory = local_package(path)
        package = open_package(directory)
        logger.info("model  %s  step %d", path, package.manifest.step)
        self._program, self.step = package.program(), package.manifest.step
        self.weights_digest = FileRecord.of(directory / MANIFEST).sha256
        self.checkpoint_digest = package.manifest.checkpoint

    def _load_checkpoint(self, path: str | None, purpose: Purpose) -> None:
        """Build the model and load a checkpoint; one that a training run deletes meanwhile is replaced by the next."""
        checkpoint = self._agree_on_checkpoint(path, purpose)
        logger.info("model  %s", checkpoint.path)
        dense = self.config.train_config.dense_optimizer
        if purpose == "evaluation":
            self.build()
            tensors, is_averaged = self.model.state_dict(), uses_average(self.config.eval_config, dense)
        else:
            self.rec_model = build_model(self.config, self.encoder.features, table_device=torch.device("meta")).eval()
            self.rec_model.embedding_group.to_empty(device="cpu")  # initial values would only be overwritten
            tensors, is_averaged = self.rec_model.state_dict(), uses_average(self.config.export_config, dense)
        while not self._restore(checkpoint, tensors, is_averaged):
            deleted, checkpoint = checkpoint, self._agree_on_checkpoint(path, purpose)
            logger.info("model  %s (%s was deleted by the run that trains it)", checkpoint.path, deleted.path.name)
        self.step, self.checkpoint_path = checkpoint.step, checkpoint.path

    def _agree_on_checkpoint(self, path: str | None, purpose: Purpose) -> Checkpoint:
        return agree_on_checkpoint(lambda: choose_checkpoint(self.config, path, purpose), self.rank_info)

    def _restore(self, checkpoint: Checkpoint, tensors: Tensors, is_averaged: bool) -> bool:
        """Overwrite all weights with those of a checkpoint, the dense ones with their moving average if asked for.

        Returns:
            False on all ranks if the checkpoint was deleted while one of them read it.

        Raises:
            CheckpointError: the checkpoint is damaged or of another model.
        """
        from tzrec.checkpoint.average import restore_average  # half a second that a training run does not need
        from tzrec.checkpoint.restore import restore

        message = f"{checkpoint.path} does not match the model of this config"
        error: CheckpointError | FileNotFoundError | None = None
        try:
            zeros = self.rec_model.zero_if_absent()
            restore(checkpoint.path / "model", tensors, zero_if_absent=zeros).ensure_complete(message)
            if is_averaged:
                restore_average(checkpoint, tensors)
            manifest = checkpoint.path / (NAME if checkpoint.manifest else "model/.metadata")
            self.weights_digest = self.checkpoint_digest = FileRecord.of(manifest).sha256
        except (CheckpointError, FileNotFoundError) as raised:
            error = raised
        if group.any_rank(error is not None and not store.is_present(checkpoint.path)):
            return False
        if error:
            raise error
        return True


def choose_checkpoint(config: EasyRecConfig, path: str | None, purpose: Purpose) -> Checkpoint:
    """Find the checkpoint at `path`. Default: the newest of `model_dir`, or for serving the one of `export_config`.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    export, model_dir = config.export_config, to_path(config.model_dir)
    if path:
        return store.find(to_path(path))
    if purpose == "serving" and export.exporter_type == "best":
        return store.best(model_dir, export.best_exporter_metric, export.metric_larger_is_better)
    return store.find(model_dir)


def _ensure_memory(config: EasyRecConfig, has_state: bool) -> None:
    """Raise an error before tables are allocated that need more memory than there is."""
    checker = Checker(ConfigSource(config), available_device())
    check_table_bytes(checker, has_state)
    if checker.problems:
        raise ConfigError(checker.problems)


def _set_tf32(config: EasyRecConfig) -> None:
    """Enable or disable TF32 if the config sets it; otherwise keep torch's defaults."""
    train = config.train_config
    if train.HasField("cudnn_allow_tf32"):
        torch.backends.cudnn.allow_tf32 = train.cudnn_allow_tf32
    if train.HasField("cuda_matmul_allow_tf32"):
        torch.backends.cuda.matmul.allow_tf32 = train.cuda_matmul_allow_tf32
