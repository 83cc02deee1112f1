"""How Orbax is set up: the items of a checkpoint, which checkpoints are kept, who writes them."""

from functools import partial
from pathlib import Path

import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from pix2pix_jax.checkpoints.checksums import ChecksumHandler
from pix2pix_jax.checkpoints.reader import ITEMS
from pix2pix_jax.config.metrics import goodness


def make_manager(directory: Path, keep: int, best_metric: str) -> ocp.CheckpointManager:
    """Makes Orbax's manager of a folder of checkpoints; the caller closes it.

    Args:
      directory: absolute path of an existing folder.
      keep: number of newest checkpoints to keep.
      best_metric: of the evaluated checkpoints, the best by this metric is kept, too.
    """
    # The first process holds the whole state, so it saves without the other processes.
    alone = ocp.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
    )
    better = partial(goodness, best_metric)
    best = preservation_policy.BestN(
        get_metric_fn=better, n=1, keep_checkpoints_without_metrics=False
    )
    options = ocp.CheckpointManagerOptions(
        preservation_policy=preservation_policy.AnyPreservationPolicy(
            [preservation_policy.LatestN(keep), best]
        ),
        best_fn=better,  # Without it, Orbax does not write the metrics.
        cleanup_tmp_directories=True,  # A killed process leaves an unfinished checkpoint.
        # Otherwise Orbax's threads wait for minutes for a folder that could not be made.
        async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
        create=False,
        multiprocessing_options=alone,
    )
    handlers = ocp.handlers.DefaultCheckpointHandlerRegistry()
    for name in ITEMS:
        handler = ChecksumHandler(multiprocessing_options=alone)
        handlers.add(name, ocp.args.StandardSave, handler)
        handlers.add(name, ocp.args.StandardRestore, handler)
    handlers.add(
        "origin", ocp.args.JsonSave, ocp.JsonCheckpointHandler(multiprocessing_options=alone)
    )
    return ocp.CheckpointManager(directory, options=options, handler_registry=handlers)
