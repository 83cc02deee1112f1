"""The program of one call: several training steps on every device.

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
from pix2pix_jax.data.augment import crop_batch, scale_batch
from pix2pix_jax.gan.method import Method, make_method
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.gan.state import TrainState
from pix2pix_jax.gan.step import Batch, Metrics, train_step
from pix2pix_jax.runtime.backend import DEVICE_AXIS, copy_to_devices

# For each argument or result, whether it is split over the devices; otherwise every device has all
# of it.
IsSharded = tuple[bool, ...]


class ParallelSteps:
    """Runs training steps on every device.

    There are two compiled programs. The small program crops the images of the batches from the
    resident pairs. The large program trains. Only the small program depends on the number of pairs,
    so another number of pairs compiles within a second.

    Attributes:
      train: the large program, a function of the state, the batches and the numbers of the key.
    """

    def __init__(self, config: Config, pairs: Batch | None = None):
        """Makes the programs; they are compiled when they are first called.

        Args:
          config: a resolved config; `train.parallel` chooses pmap or shard_map.
          pairs: resident pairs, in the memory of the devices, to crop batches from; None or empty
            if batches carry their own images.
        """
        # On one device an average would only copy all gradients.
        has_one_device = jax.device_count() == 1
        average = (
            (lambda tree: tree) if has_one_device else partial(jax.lax.pmean, axis_name=DEVICE_AXIS)
        )
        run_on_devices = {"pmap": map_with_pmap, "shard_map": map_with_shard_map}[
            config.train.parallel
        ]
        self.train = run_on_devices(
            partial(scan_steps, make_method(config, average)),
            arguments=(False, True, False),
            results=(False, False),
            donate=(0,),
        )
        self._crop = run_on_devices(
            partial(crop_batches, config.data), arguments=(False, True), results=(True,)
        )
        # The key is an argument of the compiled program, so all seeds share one program.
        key_data = jax.random.key_data(stream_key(config, "steps"))
        self._pairs, self._key_data = copy_to_devices((pairs or {}, key_data))

    def __call__(
        self, state: TrainState, batches: Mapping[str, ArrayLike]
    ) -> tuple[TrainState, Metrics]:
        """Runs several steps.

        Args:
          state: the state before the first step. It cannot be read afterwards, because the new
            state takes its memory.
          batches: batches of crops if there are resident pairs, otherwise batches of images. Every
            array is [devices, steps, images of a device, ...], and may be a NumPy array.

        Returns:
          The state after the last step, and the metrics of every step, [steps].
        """
        if self._pairs:
            (batches,) = self._crop(self._pairs, batches)
        return self.train(state, batches, self._key_data)


def crop_batches(data: Data, pairs: Batch, crops: Batch) -> tuple[Batch]:
    """Cuts the images of several steps out of resident pairs, on one device.

    Args:
      data: the group `data` of a resolved config; it says how to crop images.
      pairs: resident pairs.
      crops: [steps, b] for every name of a batch of crops.

    Returns:
      [steps, b, ...] for every name of a batch of images.
    """
    return (jax.vmap(lambda batch: crop_batch(pairs, batch, data))(crops),)


def scan_steps(
    method: Method, state: TrainState, batches: Batch, key_data: Array
) -> tuple[TrainState, Metrics]:
    """Runs several steps on one device, one after another.

    Args:
      method: networks, optimizers and losses.
      state: the state before the first step.
      batches: [steps, b, ...] for every name of a batch of images.
      key_data: the numbers of the key of the stream "steps".

    Returns:
      The state after the last step, and the metrics of every step, [steps].
    """
    key = jax.random.wrap_key_data(key_data)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        # This key equals step_key(config, step), because `key` includes the seed.
        step_key = jax.random.fold_in(key, state.step)
        return train_step(method, state, scale_batch(batch), step_key)

    return jax.lax.scan(step, state, batches)


def map_with_pmap(
    function: Callable, arguments: IsSharded, results: IsSharded, donate: tuple[int, ...] = ()
) -> Callable:
    """Returns a function that runs `function` on every device by pmap.

    Args:
      function: the function; it returns a tuple.
      arguments: which arguments are split over the devices, along their first axis.
      results: which results are split in the same way.
      donate: the arguments whose memory the results take.
    """
    return jax.pmap(
        function,
        axis_name=DEVICE_AXIS,
        in_axes=tuple(0 if split else None for split in arguments),
        out_axes=tuple(0 if split else None for split in results),
        donate_argnums=donate,
    )


def map_with_shard_map(
    function: Callable, arguments: IsSharded, results: IsSharded, donate: tuple[int, ...] = ()
) -> Callable:
    """Returns a function that runs `function` on every device by jit and shard_map.

    The mesh has all devices.

    The arguments are those of `map_with_pmap`.
    """
    mesh = Mesh(jax.devices(), (DEVICE_AXIS,))
    inputs, outputs = (
        tuple(PartitionSpec(DEVICE_AXIS) if split else PartitionSpec() for split in splits)
        for splits in (arguments, results)
    )

    def run_on_shard(*values: Batch) -> tuple:
        # The first axis of a split array is that of the devices. Inside a shard its length is 1.
        whole = [
            jax.tree.map(lambda array: array[0], value) if split else value
            for value, split in zip(values, arguments, strict=True)
        ]
        return tuple(
            jax.tree.map(lambda array: array[None], value) if split else value
            for value, split in zip(function(*whole), results, strict=True)
        )

    # With check_vma, JAX would sum the gradients over all devices.
    sharded = jax.shard_map(
        run_on_shard, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False
    )
    compiled = jax.jit(sharded, donate_argnums=donate)
    if jax.process_count() == 1:
        return compiled

    def run_on_all_processes(*values: object) -> tuple:
        """Takes the arrays of this process, and returns arrays that this process can read."""
        result = compiled(*multihost_utils.host_local_array_to_global_array(values, mesh, inputs))
        return multihost_utils.global_array_to_host_local_array(result, mesh, outputs)

    return run_on_all_processes
