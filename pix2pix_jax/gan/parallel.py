"""The training step on all devices, several steps a call: where pmap, shard_map and scan are used.

Both ways give equal bits. pmap is the default; shard_map is what JAX will keep when pmap goes.
"""

from collections.abc import Callable
from functools import partial

import jax
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import Mesh, PartitionSpec

from pix2pix_jax.config.schema import Config, Data
from pix2pix_jax.data.augment import crop_batch
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.gan.state import TrainState
from pix2pix_jax.gan.step import Batch, Method, Metrics, make_method, train_step
from pix2pix_jax.runtime.backend import copy_to_devices

AXIS = "devices"
# (state, batches, pairs, key data) -> (state, metrics)
Steps = Callable[[TrainState, Batch, Batch, Array], tuple[TrainState, Metrics]]


def parallel_steps(
    config: Config, pairs: Batch | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Training steps on every device, several a call.

    Args:
      config: resolved; `train.parallel` says how.
      pairs: resident pairs to crop batches from; None if batches carry their own images.

    Returns:
      steps(state, batches): `batches` has leading axes [devices, steps, images of a device];
      the state is donated; metrics are stacked, [steps].
    """
    # On one device an average would only copy all gradients.
    alone = jax.device_count() == 1
    average = (lambda tree: tree) if alone else partial(jax.lax.pmean, axis_name=AXIS)
    steps = partial(scan_steps, make_method(config, average), config.data)
    mapped = {"pmap": by_pmap, "shard_map": by_shard_map}[config.train.parallel](steps)
    # Arguments of the compiled program, not constants in it: all seeds share one program.
    key_data = jax.random.key_data(stream_key(config, "steps"))
    resident, key_data = copy_to_devices((pairs or {}, key_data))
    return lambda state, batches: mapped(state, batches, resident, key_data)


def scan_steps(
    method: Method, data: Data, state: TrainState, batches: Batch, pairs: Batch, key_data: Array
) -> tuple[TrainState, Metrics]:
    """Several steps on one device, one after another.

    Args:
      method: what stays the same from step to step.
      data: of a resolved config.
      state: before the first step.
      batches: [steps, b, ...] for every name of a batch.
      pairs: resident pairs; empty if batches carry their own images.
      key_data: of the stream "steps".

    Returns:
      The state after the last step, and the metrics of every step, [steps].
    """
    key = jax.random.wrap_key_data(key_data)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        # The key equals step_key(config, step): the seed was folded in outside.
        return train_step(
            method, state, crop_batch(pairs, batch, data), jax.random.fold_in(key, state.step)
        )

    return jax.lax.scan(step, state, batches)


def by_pmap(steps: Steps) -> Steps:
    """Runs `steps` on every device by pmap: the state is replicated, the batches are split."""
    return jax.pmap(
        steps,
        axis_name=AXIS,
        in_axes=(None, 0, None, None),
        out_axes=(None, None),
        donate_argnums=0,
    )


def by_shard_map(steps: Steps) -> Steps:
    """Runs `steps` on every device by jit and shard_map over a mesh of all devices."""
    mesh, whole, split = Mesh(jax.devices(), (AXIS,)), PartitionSpec(), PartitionSpec(AXIS)
    inputs, outputs = (whole, split, whole, whole), (whole, whole)

    def steps_of_shard(state: TrainState, batches: Batch, pairs: Batch, key_data: Array) -> tuple:
        batches = {name: shard[0] for name, shard in batches.items()}  # [1, steps, ...]
        return steps(state, batches, pairs, key_data)

    # With check_vma, gradients would come back summed over devices.
    sharded = jax.shard_map(
        steps_of_shard, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False
    )
    compiled = jax.jit(sharded, donate_argnums=0)
    if jax.process_count() == 1:
        return compiled

    def across_processes(*arguments: object) -> tuple:
        """Each process hands in what it has, and gets back arrays that it can read alone."""
        result = compiled(
            *multihost_utils.host_local_array_to_global_array(arguments, mesh, inputs)
        )
        return multihost_utils.global_array_to_host_local_array(result, mesh, outputs)

    return across_processes
