"""Configures Orbax's manager of checkpoints: the items to write, and the checkpoints to keep."""

from functools import partial
from pathlib import Path

import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from pix2pix_jax.checkpoints.checksums import ChecksumHandler
from pix2pix_jax.checkpoints.info import INFO_ITEM
from pix2pix_jax.checkpoints.reader import FIRST_PROCESS, ITEMS, STATISTICS_ITEMS
from pix2pix_jax.config.metrics import goodness


def make_manager(folder: Path, keep: int, best_metric: str) -> ocp.CheckpointManager:
    """Makes Orbax's manager of a folder of checkpoints; the caller closes it.

    Args:
      folder: the absolute path of an existing folder.
      keep: the number of newest checkpoints to keep; 0: all.
      best_metric: the checkpoint that is best by this metric is kept, too.
    """
    score_of = partial(goodness, best_metric)
    best = preservation_policy.BestN(
        get_metric_fn=score_of, n=1, keep_checkpoints_without_metrics=False
    )
    newest = preservation_policy.LatestN(keep) if keep else preservation_policy.PreserveAll()
    options = ocp.CheckpointManagerOptions(
        preservation_policy=preservation_policy.AnyPreservationPolicy([newest, best]),
        best_fn=score_of,  # Without best_fn, Orbax does not write the metrics.
        cleanup_tmp_directories=True,  # A killed process may leave an unfinished checkpoint.
        # If Orbax's threads created the folders, the threads would wait for minutes for a folder
        # that cannot be created.
        async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
        create=False,
        multiprocessing_options=FIRST_PROCESS,
    )
    handlers = ocp.handlers.DefaultCheckpointHandlerRegistry()
    for name in (*ITEMS, *STATISTICS_ITEMS.values()):
        handler = ChecksumHandler(multiprocessing_options=FIRST_PROCESS)
        handlers.add(name, ocp.args.StandardSave, handler)
    info_handler = ocp.JsonCheckpointHandler(multiprocessing_options=FIRST_PROCESS)
    handlers.add(INFO_ITEM, ocp.args.JsonSave, info_handler)
    return ocp.CheckpointManager(folder, options=options, handler_registry=handlers)
