"""The training split as `batches[step]`: a pure function of (seed, step).

A batch starts as crops: for each image, the number of a pair, the place of the crop, and whether
the crop is mirrored. If all pairs at load_size need at most data.resident_mib, every device keeps
the pairs and cuts the crops. Otherwise the host cuts the crops. Both ways give the same pixels.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import grain
import jax
import numpy as np
from tqdm.contrib.concurrent import thread_map

from pix2pix_jax.config.resolve import load_size
from pix2pix_jax.config.schema import Config, Data
from pix2pix_jax.data.augment import Crop, crop_image, draw_crop
from pix2pix_jax.data.examples import Batch, image_channels, training_example
from pix2pix_jax.runtime.backend import copy_to_devices


def make_training_batches(
    config: Config, records: Sequence[dict], process_index: int = 0, process_count: int = 1
) -> tuple[grain.MapDataset, dict[str, jax.Array]]:
    """Makes the batches of the training split; the pairs of a small split go to the devices.

    Args:
      records: the records of the training split.
      process_index: the index of this process; it selects a share of each batch.
      process_count: the number of processes.

    Returns:
      The results of `make_crop_batches` and `load_resident_pairs`, or the result of
      `make_image_batches` and an empty dictionary.
    """
    if pairs := load_resident_pairs(records, config.data):
        order = pair_order(config.data, records)
        return make_crop_batches(config, order, process_index, process_count), pairs
    return make_image_batches(config, records, process_index, process_count), {}


def make_image_batches(
    config: Config, records: Sequence[dict], process_index: int = 0, process_count: int = 1
) -> grain.MapDataset:
    """Makes endless batches of images that are cropped on the host.

    Every epoch uses every pair once, in a new order, or in the same order without data.shuffle.
    Pairs are shuffled and jittered before a process takes its share, so the global batches do not
    depend on the number of processes.

    Returns:
      batches[step] has `input` and `target` [b, h, w, c], uint8, and `index` [b], int32, the place
      of each image in the global batch.
    """
    crops = _draw_crops(config, pair_order(config.data, records))
    crops = crops.map(partial(_crop_record, records, config.data))
    return _batch(crops, config, process_index, process_count)


def pair_order(data: Data, records: Sequence[dict]) -> Sequence[int]:
    """The indices of all pairs, sorted by the names of the pairs without data.shuffle."""
    indices = range(len(records))
    return indices if data.shuffle else sorted(indices, key=lambda index: records[index]["name"])


def make_crop_batches(
    config: Config, order: Sequence[int], process_index: int = 0, process_count: int = 1
) -> grain.MapDataset:
    """Makes endless batches with the crops of `make_image_batches`, but without images.

    Args:
      order: the result of `pair_order`.

    Returns:
      batches[step] has `pair`, `top`, `left`, `mirror` and `index`, each [b], int32.
    """
    return _batch(_draw_crops(config, order), config, process_index, process_count)


def batch_names(config: Config, records: Sequence[dict], step: int) -> list[str]:
    """The names of the pairs in batches[step], for all processes together."""
    crops = make_crop_batches(config, pair_order(config.data, records))[step]
    assert crops is not None, "batches are endless"
    return [records[int(pair)]["name"].decode() for pair in crops["pair"]]


def _draw_crops(config: Config, order: Sequence[int]) -> grain.MapDataset:
    """Draws a crop for every image of every global batch; `index` is the place in the batch."""
    draw = partial(_draw_crop, config.data)
    crops = repeat_examples(order, config.seed, draw, config.data.shuffle)
    size = config.data.batch_size
    return crops.map_with_index(lambda i, crop: crop | {"index": np.int32(i % size)})


def _draw_crop(data: Data, pair: int, rng: np.random.Generator) -> dict[str, np.int32]:
    crop = {"pair": pair} | draw_crop(data, rng)._asdict()
    return {name: np.int32(value) for name, value in crop.items()}


def _crop_record(records: Sequence[dict], data: Data, crop: dict[str, np.int32]) -> dict[str, Any]:
    """Cuts a crop out of its pair: `input` and `target` [h, w, c], and `index`."""
    images = training_example(records[int(crop["pair"])], data)
    window = Crop(int(crop["top"]), int(crop["left"]), bool(crop["mirror"]))
    cropped = {name: crop_image(image, window, data) for name, image in images.items()}
    return cropped | {"index": crop["index"]}


def _batch(
    examples: grain.MapDataset, config: Config, process_index: int, process_count: int
) -> grain.MapDataset:
    """Makes batches of consecutive examples; a process gets every process_count-th batch."""
    size = config.data.batch_size // process_count
    return examples.batch(size, drop_remainder=True)[process_index::process_count]


def load_resident_pairs(records: Sequence[dict], data: Data) -> dict[str, jax.Array]:
    """Copies all pairs to every device, unless the pairs need more than data.resident_mib.

    Returns:
      `input` and `target` [pairs, load height, load width, c], uint8; empty if the pairs are too
      large.
    """
    height, width = load_size(data)
    channels = image_channels(data)
    if len(records) * height * width * sum(channels.values()) > data.resident_mib << 20:
        return {}
    pairs = {
        name: np.empty((len(records), height, width, c), np.uint8) for name, c in channels.items()
    }

    def read(i: int) -> None:
        for name, image in training_example(records[i], data).items():
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
    records: Sequence[Any],
    seed: int,
    make_example: Callable[[Any, np.random.Generator], dict],
    shuffle: bool = True,
) -> grain.MapDataset:
    """Makes endless examples; each epoch has all records, with new random numbers.

    Args:
      records: the records.
      seed: determines the orders and the random numbers.
      make_example: makes an example of a record.
      shuffle: whether each epoch has the records in a new order.
    """
    ordered = grain.MapDataset.source(records).seed(seed)
    return (ordered.shuffle() if shuffle else ordered).repeat().random_map(make_example)


def prefetch(batches: grain.MapDataset, first: int) -> grain.DatasetIterator[Batch]:
    """Iterates over the batches from batches[first]; threads make the batches in advance."""
    options = grain.ReadOptions(num_threads=min(16, os.cpu_count() or 1), prefetch_buffer_size=16)
    return iter(batches[first:].to_iter_dataset(options))
