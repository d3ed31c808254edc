"""Moving average of the dense parameters, which evaluation and export may load instead of the parameters."""

from __future__ import annotations

from tzrec.checkpoint.restore import restore, stored_sizes
from tzrec.checkpoint.saver import Tensors
from tzrec.checkpoint.store import Checkpoint
from tzrec.errors import CheckpointError
from tzrec.log import logger
from tzrec.optim.average import EMA_DIR


def restore_average(checkpoint: Checkpoint, model: Tensors) -> None:
    """Overwrite the dense parameters of a restored model with their moving average.

    Raises:
        CheckpointError: the checkpoint has no average, or that of another model.
    """
    directory = checkpoint.path / EMA_DIR
    if not directory.is_dir():
        raise CheckpointError(
            f"{checkpoint.path} holds no {EMA_DIR}: it was trained without dense_optimizer.ema. Remove ema, or set "
            "use_dense_ema: false"
        )
    names = stored_sizes(directory)
    result = restore(directory, {name: model[name] for name in names if name in model})
    result.ensure_complete(f"{directory} does not match the model of this config")
    logger.info("model  using the moving average of the dense parameters")
