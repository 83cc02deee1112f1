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
from PIL import Image
from PIL.Image import Resampling
from tqdm.contrib.concurrent import thread_map

from pix2pix_jax.backend import on_devices
from pix2pix_jax.config import Config, Data, UsageError
from pix2pix_jax.data.images import as_float, resize, split_pair, to_float, to_pixels, with_channels
from pix2pix_jax.data.palettes import Palette, class_map

Example = dict[str, np.ndarray]
Box = tuple[float, ...]  # left, top, right, bottom in parts of an image's width and height
WHOLE = (0.0, 0.0, 1.0, 1.0)


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
      what `train_choices` makes, and the `resident` pairs; or `train_batches`, and nothing.
    """
    if pairs := resident(records, config.data):
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
        images = resized(records[int(choice["pair"])], config.data)
        cut = {name: cropped(image, choice, config.data) for name, image in images.items()}
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
    return endless(range(pairs), config.seed, partial(_choice, config.data)).map_with_index(
        lambda i, choice: choice | {"index": np.int32(i % size)}
    )


def _choice(data: Data, pair: int, rng: np.random.Generator) -> Example:
    top, left, mirror = _jitter(data, rng)
    choice = {"pair": pair, "top": top, "left": left, "mirror": mirror}
    return {name: np.int32(value) for name, value in choice.items()}


def _batched(
    examples: grain.MapDataset, config: Config, process_index: int, process_count: int
) -> grain.MapDataset:
    size = config.data.batch_size // process_count
    return examples.batch(size, drop_remainder=True)[process_index::process_count]


def resident(records: Sequence[dict], data: Data) -> dict[str, jax.Array]:
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
        for name, image in resized(records[i], data).items():
            pairs[name][i] = image

    thread_map(
        read,
        range(len(records)),
        desc="reading the pairs",
        leave=False,
        disable=not sys.stderr.isatty(),
        max_workers=os.cpu_count(),
    )
    return on_devices(pairs)


def taken(pairs: dict, batch: dict, data: Data) -> dict:
    """Images of a batch [b, h, w, c] in [-1, 1], cut from resident pairs if there are any.

    Args:
      pairs: of `resident`; empty: the batch has its images.
      batch: of `train_choices` or `train_batches`.
    """
    if pairs:
        cut = jax.vmap(
            lambda images, choice: cropped(images[choice["pair"]], choice, data), (None, 0)
        )
        batch = {name: cut(images, batch) for name, images in pairs.items()} | {
            "index": batch["index"]
        }
    of_bytes = {name: values for name, values in batch.items() if values.dtype == np.uint8}
    return batch | {name: as_float(values) for name, values in of_bytes.items()}


def cropped(image: np.ndarray, choice: Example, data: Data) -> np.ndarray:
    """The part of an image [h, w, c] that a choice says, mirrored if it says so."""
    (height, width), (top, left) = data.image_size, (choice["top"], choice["left"])
    if isinstance(image, np.ndarray):
        image = image[top : top + height, left : left + width]
        return image[:, ::-1] if choice["mirror"] else image
    image = jax.lax.dynamic_slice(image, (top, left, 0), (height, width, image.shape[-1]))
    return jax.numpy.where(choice["mirror"], image[:, ::-1], image)


def endless(
    records: Sequence[dict], seed: int, example: Callable[[dict, np.random.Generator], Example]
) -> grain.MapDataset:
    """Examples of all records, epoch after epoch, each epoch in a new order and drawn anew."""
    return grain.MapDataset.source(records).seed(seed).shuffle().repeat().random_map(example)


def prefetched(batches: grain.MapDataset, first: int) -> Iterator[Example]:
    """batches[first], batches[first + 1], ... made ahead by threads."""
    options = grain.ReadOptions(num_threads=min(16, os.cpu_count() or 1), prefetch_buffer_size=16)
    return iter(batches[first:].to_iter_dataset(options))


def resized(record: dict, data: Data) -> Example:
    """Both images of a pair at load_size, uint8 [h, w, c], of which training sees parts (6.2)."""
    return _pair(record, data, data.load_size)


def plain(record: dict, data: Data) -> Example:
    """An example to look at or measure: resized to image_size, in [-1, 1], nothing random."""
    return {name: as_float(image) for name, image in _pair(record, data, data.image_size).items()}


def labelled(
    record: dict, data: Data, palette: Palette, rng: np.random.Generator | None = None
) -> Example:
    """The photo of a pair and the classes of its label map, jittered where there is an `rng`.

    Classes are told apart by colour before the map is resized, so that no mixed colours arise.

    Returns:
      `photo` [h, w, 3] in [-1, 1] and `classes` [h, w], uint8.
    """
    photo, label = sides(record)
    box, mirror = (WHOLE, False) if rng is None else _box(data, *_jitter(data, rng))
    label = class_map(label, palette)
    classes = np.asarray(resize(label, _size(data), _pixels(box, label), Resampling.NEAREST))
    photo = to_float(resize(with_channels(photo, 3), _size(data), _pixels(box, photo)))
    example = {"photo": photo, "classes": classes}
    return {name: value[:, ::-1] for name, value in example.items()} if mirror else example


def _jitter(data: Data, rng: np.random.Generator) -> tuple[int, int, bool]:
    """Where to cut an image of load_size, from top and left, and whether to mirror it."""
    top, left = (
        int(rng.integers(load - size + 1))
        for load, size in zip(data.load_size, data.image_size, strict=True)
    )
    return top, left, data.flip and rng.random() < 0.5


def _box(data: Data, top: int, left: int, mirror: bool) -> tuple[Box, bool]:
    """The same of an image of any size."""
    height, width = data.image_size
    box = left, top, left + width, top + height
    return tuple(x / side for x, side in zip(box, data.load_size[::-1] * 2, strict=True)), mirror


def _pair(record: dict, data: Data, size: tuple[int, int]) -> Example:
    a, b = sides(record)
    channels = {"input": data.input_channels, "target": data.target_channels}
    images = (a, b) if data.direction == "AtoB" else (b, a)
    return {
        name: to_pixels(resize(with_channels(image, c), size[::-1]))
        for (name, c), image in zip(channels.items(), images, strict=True)
    }


def sides(record: dict) -> tuple[Image.Image, Image.Image]:
    """A and B of a record, as they were found."""
    return split_pair(record["files"], [record["name"].decode()] * len(record["files"]))


def _size(data: Data) -> tuple[int, int]:
    """Width and height, as Pillow has it."""
    return data.image_size[::-1]


def _pixels(box: Box, image: Image.Image) -> tuple[float, ...]:
    """The box in the pixels of a file, so that it is cropped and resized in one."""
    return tuple(x * side for x, side in zip(box, image.size * 2, strict=True))
