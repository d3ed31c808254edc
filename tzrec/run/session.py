"""Session: the one place that assembles a config into things that run.

config -> machine -> process group -> feature encoder -> loader -> model -> sharded model -> checkpoint
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torchrec.distributed.model_parallel import DistributedModelParallel

from tzrec import env
from tzrec.checkpoint.store import Checkpoint
from tzrec.data.batch import Batch
from tzrec.data.loader import DataLoader
from tzrec.distributed import group
from tzrec.distributed.shard import dense_parameters, shard
from tzrec.errors import CheckpointError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.formatting import format_count
from tzrec.log import logger
from tzrec.models.base import ModelOutput, RecModel
from tzrec.models.build import build_model
from tzrec.optim.average import uses_average
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run import cpu
from tzrec.tables.plan_summary import SavedPlan, plan_rows, render

Mode = Literal["train", "eval", "predict"]

AUTOCAST = {"": None, "BF16": torch.bfloat16, "FP16": torch.float16}
"""train_config.mixed_precision -> type of the matrix products."""


class Session:
    """One process's share of a run. Close it at the end.

    Attributes:
        config: checked, with edits and flags in it.
        place: this rank among its peers.
        device: of this rank.
        cpu: what was set for this machine, a line for the log.
        encoder: from raw columns to features.
        model: the sharded model, None until `build`; call this one.
        rec_model: the model without its wrappers.
    """

    model: DistributedModelParallel
    rec_model: RecModel

    def __init__(self, config: EasyRecConfig) -> None:
        self.config = config
        self.rank_info = env.rank_info()
        self._loaders: list[DataLoader] = []
        self.cpu = cpu.configure_cpu(config.train_config)
        self.device = group.init(self.rank_info)
        self._autocast = AUTOCAST[config.train_config.mixed_precision]
        _allow_tf32(config)
        self.encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)

    @property
    def model_dir(self) -> Path:
        return Path(self.config.model_dir)

    def loader(self, path: str, mode: Mode, keep: Sequence[str] = (), batch_size: int | None = None) -> DataLoader:
        """Open the files of a path for this rank; `close` closes the loader."""
        info, seed = self.rank_info, self.config.train_config.seed
        loader = DataLoader(self.config, self.encoder, path, mode, info.rank, info.world_size, keep, batch_size, seed)
        self._loaders.append(loader)
        return loader

    def build(self, saved: SavedPlan | None = None) -> None:
        """Make the model on all ranks: the same weights everywhere, and everywhere another seed for dropout.

        Args:
            saved: how the tables of a checkpoint were sharded; kept to where it fits.
        """
        seed = self.config.train_config.seed
        torch.manual_seed(seed)
        meta = torch.device("meta")
        ranker = build_model(self.config, self.encoder.features, table_device=meta, compute_device=self.device)
        self.model = shard(ranker, self.config, self.device, saved)
        self.rec_model = self.model.module
        torch.manual_seed(seed + 1 + self.rank_info.rank)

    def forward(self, batch: Batch) -> tuple[ModelOutput, Batch]:
        """What the model says of a batch, and the batch where the model is."""
        if self.device.type != "cpu":
            batch = batch.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None):
            return self.model(batch), batch

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put the weights of a checkpoint that are to be evaluated into the model.

        Raises:
            CheckpointError: it does not hold exactly the weights of this model, or cannot be read.
        """
        from tzrec.checkpoint.average import restore_average
        from tzrec.checkpoint.restore import restore

        fit = restore(checkpoint.path / "model", self.model.state_dict())
        if fit.lines():
            lines = "\n  ".join(fit.lines())
            raise CheckpointError(f"{checkpoint.path} holds another model than this config describes:\n  {lines}")
        if uses_average(self.config.eval_config, self.config.train_config.dense_optimizer):
            restore_average(checkpoint, self.model.state_dict())

    def describe(self) -> None:
        """Log what was built: `model`, `plan` and `cpu`."""
        dims = self.rec_model.embedding_group.dims
        tasks = list(self.rec_model.heads)
        name = self.config.model_config.WhichOneof("model")
        dense = sum(parameter.numel() for _, parameter in dense_parameters(self.model))
        named = f"{len(tasks)} tasks: {', '.join(tasks)}" if len(tasks) > 1 else "1 task"
        groups = [f'{len(dims.features(each))} features in group "{each}" ({dims[each]})' for each in dims]
        logger.info("model  %s  %s   dense %s parameters   %s", name, named, format_count(dense), ", ".join(groups))
        rows = plan_rows(self.rec_model, self.model.plan, self.config.train_config)
        logger.info("plan   %s", render(rows).replace("\n", "\n       "))
        logger.info("cpu    %s", self.cpu)

    def close(self) -> None:
        """Join the threads of all loaders and leave the process group."""
        for loader in self._loaders:
            loader.close()
        group.close()


def _allow_tf32(config: EasyRecConfig) -> None:
    """TF32 is as torch has it unless the config speaks of it."""
    train = config.train_config
    if train.HasField("cudnn_allow_tf32"):
        torch.backends.cudnn.allow_tf32 = train.cudnn_allow_tf32
    if train.HasField("cuda_matmul_allow_tf32"):
        torch.backends.cuda.matmul.allow_tf32 = train.cuda_matmul_allow_tf32
