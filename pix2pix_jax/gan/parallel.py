"""Runs training steps on all devices, several steps in one call.

`pmap` is the default. `shard_map`, its successor in JAX, gives the same results to the bit.
"""

from collections.abc import Callable, Mapping
from functools import partial

import jax
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import Mesh, PartitionSpec
from jax.typing import ArrayLike

from pix2pix_jax.config.schema import Config, Data
from pix2pix_jax.data.augment import crop_batch
from pix2pix_jax.gan.method import Method, make_method
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.gan.state import TrainState
from pix2pix_jax.gan.step import Batch, Metrics, train_step
from pix2pix_jax.runtime.backend import DEVICE_AXIS, copy_to_devices

# On one device: (state, batches, pairs, key data) -> (state, metrics)
DeviceSteps = Callable[[TrainState, Batch, Batch, Array], tuple[TrainState, Metrics]]
# On all devices: (state, batches) -> (state, metrics). The batches may be NumPy arrays.
ParallelSteps = Callable[[TrainState, Mapping[str, ArrayLike]], tuple[TrainState, Metrics]]


def make_parallel_steps(config: Config, pairs: Batch | None = None) -> ParallelSteps:
    """Makes the function that runs training steps on every device.

    Args:
      config: a resolved config; `train.parallel` chooses pmap or shard_map.
      pairs: resident pairs, in the memory of the devices, to crop batches from; None if batches
        carry their own images.

    Returns:
      A function of the state and of batches. Every array of the batches is [devices, steps, images
      of a device, ...]. The function returns the new state, and the metrics of every step,
      [steps]. The old state cannot be read afterwards, because the new state takes its memory.
    """
    # On one device an average would only copy all gradients.
    has_one_device = jax.device_count() == 1
    average = (
        (lambda tree: tree) if has_one_device else partial(jax.lax.pmean, axis_name=DEVICE_AXIS)
    )
    device_steps = partial(scan_steps, make_method(config, average), config.data)
    map_steps = {"pmap": map_with_pmap, "shard_map": map_with_shard_map}[config.train.parallel]
    mapped = map_steps(device_steps)
    # The key is an argument of the compiled program, so all seeds share one program.
    key_data = jax.random.key_data(stream_key(config, "steps"))
    resident, key_data = copy_to_devices((pairs or {}, key_data))
    return lambda state, batches: mapped(state, batches, resident, key_data)


def scan_steps(
    method: Method, data: Data, state: TrainState, batches: Batch, pairs: Batch, key_data: Array
) -> tuple[TrainState, Metrics]:
    """Runs several steps on one device, one after another.

    Args:
      method: networks, optimizers and losses.
      data: the group `data` of a resolved config; it says how to crop images.
      state: the state before the first step.
      batches: [steps, b, ...] for every name of a batch.
      pairs: resident pairs; empty if batches carry their own images.
      key_data: the numbers of the key of the stream "steps".

    Returns:
      The state after the last step, and the metrics of every step, [steps].
    """
    key = jax.random.wrap_key_data(key_data)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        images = crop_batch(pairs, batch, data)
        # This key equals step_key(config, step), because `key` includes the seed.
        return train_step(method, state, images, jax.random.fold_in(key, state.step))

    return jax.lax.scan(step, state, batches)


def map_with_pmap(steps: DeviceSteps) -> Callable:
    """Makes `steps` run on every device by pmap; the state is replicated, the batches are split."""
    return jax.pmap(
        steps,
        axis_name=DEVICE_AXIS,
        in_axes=(None, 0, None, None),
        out_axes=(None, None),
        donate_argnums=0,
    )


def map_with_shard_map(steps: DeviceSteps) -> Callable:
    """Makes `steps` run on every device by jit and shard_map, over a mesh of all devices."""
    mesh, whole, split = (
        Mesh(jax.devices(), (DEVICE_AXIS,)),
        PartitionSpec(),
        PartitionSpec(DEVICE_AXIS),
    )
    inputs, outputs = (whole, split, whole, whole), (whole, whole)

    def steps_of_shard(state: TrainState, batches: Batch, pairs: Batch, key_data: Array) -> tuple:
        # The first axis of the batches is that of the devices. Inside a shard its length is 1.
        batches = {name: array[0] for name, array in batches.items()}  # [1, ...] -> [steps, b, ...]
        return steps(state, batches, pairs, key_data)

    # With check_vma, JAX would sum the gradients over all devices.
    sharded = jax.shard_map(
        steps_of_shard, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False
    )
    compiled = jax.jit(sharded, donate_argnums=0)
    if jax.process_count() == 1:
        return compiled

    def run_on_all_processes(*arguments: object) -> tuple:
        """Takes the arrays of this process, and returns arrays that this process can read."""
        result = compiled(
            *multihost_utils.host_local_array_to_global_array(arguments, mesh, inputs)
        )
        return multihost_utils.global_array_to_host_local_array(result, mesh, outputs)

    return run_on_all_processes
