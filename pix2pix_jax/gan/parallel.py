"""The train step on all devices, several steps a call: where pmap and scan are applied."""

from collections.abc import Callable
from functools import partial

import jax
from jax import Array

from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.augment import crop_batch
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.gan.state import TrainState
from pix2pix_jax.gan.step import Batch, Metrics, make_train_step
from pix2pix_jax.runtime.backend import copy_to_devices


def parallel_steps(
    config: Config, pairs: Batch | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """`train_step` on every device, several steps to a call: where jit, pmap and scan are applied.

    Args:
      config: resolved.
      pairs: of `pipeline.resident`, from which batches are then taken, or nothing.

    Returns:
      steps(state, batches): `batches` has leading axes [devices, steps, images of a device];
      the state is donated; metrics are stacked, [steps].
    """
    alone = jax.device_count() == 1  # when a mean would be a copy of all gradients
    mean = (lambda tree: tree) if alone else partial(jax.lax.pmean, axis_name="devices")
    train_step = make_train_step(config, mean)

    def steps(
        state: TrainState, batches: Batch, pairs: Batch, key: Array
    ) -> tuple[TrainState, Metrics]:
        def one(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            batch = crop_batch(pairs, batch, config.data)
            # The key is step_key's, with the first half of the way done outside.
            return train_step(state, batch, jax.random.fold_in(key, state.step))

        return jax.lax.scan(one, state, batches)

    mapped = jax.pmap(
        steps,
        axis_name="devices",
        in_axes=(None, 0, None, None),
        out_axes=(None, None),
        donate_argnums=0,
    )
    # Handed over and no part of the program, which is the same for all seeds.
    resident, key = copy_to_devices((pairs or {}, stream_key(config, "steps")))
    return lambda state, batches: mapped(state, batches, resident, key)
