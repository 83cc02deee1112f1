"""The prepared dataset as `batches[step]`: a pure function of (seed, step).

A batch is first a choice: which pairs, cut where, mirrored or not. Pairs that fit on the devices
are held there, resized, and a step gets the choice alone; of others it gets what was cut from them
on the host. Both see the same pixels.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import grain
import jax
import numpy as np
import tensorflow_datasets as tfds
from tqdm.contrib.concurrent import thread_map

from pix2pix_jax.config.schema import Config, Data
from pix2pix_jax.data.augment import Example, crop, draw_jitter
from pix2pix_jax.data.examples import resize_pair
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.backend import copy_to_devices


def open_split(builder: tfds.core.DatasetBuilder, split: str) -> Sequence[dict]:
    """The records of a split, by index.

    Raises:
      UsageError: naming the splits that the dataset has, or the dataset that is damaged.
    """
    if split not in builder.info.splits:
        raise UsageError(
            f"--split: no {split} in {builder.data_dir}; it has {', '.join(builder.info.splits)}"
        )
    try:
        records = builder.as_data_source(split)
        _ = records[0], records[len(records) - 1]
    except Exception as error:  # ArrayRecord's own kinds
        raise UsageError(
            f"{builder.data_dir}: is damaged ({error}); remove it, and the same command writes "
            "it again"
        ) from error
    return records


def training_data(
    config: Config, records: Sequence[dict], process_index: int = 0, process_count: int = 1
) -> tuple[grain.MapDataset, dict[str, jax.Array]]:
    """Batches of the training split as they fit here; and all of its pairs where those do.

    Args:
      config: resolved.
      records: of the training split.
      process_index, process_count: which share of each batch.

    Returns:
      what `train_choices` makes, and the pairs of `load_resident_pairs`; or what `train_batches`
      makes, and nothing.
    """
    if pairs := load_resident_pairs(records, config.data):
        return train_choices(config, len(records), process_index, process_count), pairs
    return train_batches(config, records, process_index, process_count), {}


def train_batches(
    config: Config, records: Sequence[dict], process_index: int = 0, process_count: int = 1
) -> grain.MapDataset:
    """Endless batches: batches[step] has `input` and `target` [b, h, w, c], uint8, and `index` [b].

    Every epoch sees every pair once, in a new order. Shuffle and jitter come before a process
    takes its share, so that any number of processes sees the same global batches, and as many
    devices the same images each; `index` is the place of an image in the global batch.

    Args:
      config: resolved.
      records: of the training split.
      process_index, process_count: which share of each batch.
    """

    def example(choice: Example) -> Example:
        images = resize_pair(records[int(choice["pair"])], config.data)
        cut = {name: crop(image, choice, config.data) for name, image in images.items()}
        return cut | {"index": choice["index"]}

    return _batched(
        _choices(config, len(records)).map(example), config, process_index, process_count
    )


def train_choices(
    config: Config, pairs: int, process_index: int = 0, process_count: int = 1
) -> grain.MapDataset:
    """How `train_batches` cuts its batches: `pair`, `top`, `left`, `mirror`, `index` [b]."""
    return _batched(_choices(config, pairs), config, process_index, process_count)


def batch_names(config: Config, records: Sequence[dict], step: int) -> list[str]:
    """Names of the pairs in batches[step], of all processes."""
    pairs = train_choices(config, len(records))[step]["pair"]
    return [records[int(pair)]["name"].decode() for pair in pairs]


def _choices(config: Config, pairs: int) -> grain.MapDataset:
    """One choice for every image of every batch."""
    size = config.data.batch_size
    return repeat_examples(range(pairs), config.seed, partial(_choice, config.data)).map_with_index(
        lambda i, choice: choice | {"index": np.int32(i % size)}
    )


def _choice(data: Data, pair: int, rng: np.random.Generator) -> Example:
    top, left, mirror = draw_jitter(data, rng)
    choice = {"pair": pair, "top": top, "left": left, "mirror": mirror}
    return {name: np.int32(value) for name, value in choice.items()}


def _batched(
    examples: grain.MapDataset, config: Config, process_index: int, process_count: int
) -> grain.MapDataset:
    size = config.data.batch_size // process_count
    return examples.batch(size, drop_remainder=True)[process_index::process_count]


def load_resident_pairs(records: Sequence[dict], data: Data) -> dict[str, jax.Array]:
    """All pairs, resized, uint8 [pairs, h, w, c], where data.resident_mib has room for them.

    Returns:
      `input` and `target`, on every device; or nothing.
    """
    height, width = data.load_size
    size = len(records) * height * width * (data.input_channels + data.target_channels)
    if size > data.resident_mib << 20:
        return {}
    channels = {"input": data.input_channels, "target": data.target_channels}
    pairs = {
        name: np.empty((len(records), height, width, c), np.uint8) for name, c in channels.items()
    }

    def read(i: int) -> None:
        for name, image in resize_pair(records[i], data).items():
            pairs[name][i] = image

    thread_map(
        read,
        range(len(records)),
        desc="reading the pairs",
        leave=False,
        disable=not sys.stderr.isatty(),
        max_workers=os.cpu_count(),
    )
    return copy_to_devices(pairs)


def repeat_examples(
    records: Sequence[dict], seed: int, example: Callable[[dict, np.random.Generator], Example]
) -> grain.MapDataset:
    """Examples of all records, epoch after epoch, each epoch in a new order and drawn anew."""
    return grain.MapDataset.source(records).seed(seed).shuffle().repeat().random_map(example)


def prefetch(batches: grain.MapDataset, first: int) -> Iterator[Example]:
    """batches[first], batches[first + 1], ... made ahead by threads."""
    options = grain.ReadOptions(num_threads=min(16, os.cpu_count() or 1), prefetch_buffer_size=16)
    return iter(batches[first:].to_iter_dataset(options))
