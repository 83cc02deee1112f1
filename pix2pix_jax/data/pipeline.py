"""The prepared dataset as `batches[step]`: a pure function of (seed, step)."""

import os
from collections.abc import Callable, Iterator, Sequence

import grain
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from PIL.Image import Resampling

from pix2pix_jax.config import Config, Data, UsageError
from pix2pix_jax.data.images import resize, split_pair, to_float, with_channels
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


def train_batches(
    config: Config, records: Sequence[dict], process_index: int = 0, process_count: int = 1
) -> grain.MapDataset:
    """Endless batches: batches[step] holds `input` and `target` [b, h, w, c] and `index` [b].

    Every epoch sees every pair once, in a new order. Shuffle and jitter come before a process
    takes its share, so that any number of processes sees the same global batches, and as many
    devices the same images each; `index` is the place of an image in the global batch.

    Args:
      config: resolved.
      records: of the training split.
      process_index, process_count: which share of each batch.
    """
    data = config.data
    return (
        endless(records, config.seed, lambda record, rng: jittered(record, data, rng))
        .map_with_index(lambda i, example: example | {"index": np.int32(i % data.batch_size)})
        .batch(data.batch_size // process_count, drop_remainder=True)[process_index::process_count]
    )


def batch_names(config: Config, records: Sequence[dict], step: int) -> list[str]:
    """Names of the pairs in batches[step], of all processes."""
    names = endless(records, config.seed, lambda record, rng: record["name"].decode())
    size = config.data.batch_size
    return [names[index] for index in range(step * size, (step + 1) * size)]


def endless(
    records: Sequence[dict], seed: int, example: Callable[[dict, np.random.Generator], Example]
) -> grain.MapDataset:
    """Examples of all records, epoch after epoch, each epoch in a new order and drawn anew."""
    return grain.MapDataset.source(records).seed(seed).shuffle().repeat().random_map(example)


def prefetched(batches: grain.MapDataset, first: int) -> Iterator[Example]:
    """batches[first], batches[first + 1], ... made ahead by threads."""
    options = grain.ReadOptions(num_threads=min(16, os.cpu_count() or 1), prefetch_buffer_size=16)
    return iter(batches[first:].to_iter_dataset(options))


def jittered(record: dict, data: Data, rng: np.random.Generator) -> Example:
    """A training example: resized to load_size, cropped and mirrored, A and B alike (6.2)."""
    return _example(record, data, *_jitter(data, rng))


def plain(record: dict, data: Data) -> Example:
    """An example to look at or measure: resized to image_size, nothing random."""
    return _example(record, data, WHOLE, False)


def labelled(
    record: dict, data: Data, palette: Palette, rng: np.random.Generator | None = None
) -> Example:
    """The photo of a pair and the classes of its label map, jittered where there is an `rng`.

    Classes are told apart by colour before the map is resized, so that no mixed colours arise.

    Returns:
      `photo` [h, w, 3] in [-1, 1] and `classes` [h, w], uint8.
    """
    photo, label = sides(record)
    box, mirror = (WHOLE, False) if rng is None else _jitter(data, rng)
    label = class_map(label, palette)
    classes = np.asarray(resize(label, _size(data), _pixels(box, label), Resampling.NEAREST))
    photo = to_float(resize(with_channels(photo, 3), _size(data), _pixels(box, photo)))
    example = {"photo": photo, "classes": classes}
    return {name: value[:, ::-1] for name, value in example.items()} if mirror else example


def _jitter(data: Data, rng: np.random.Generator) -> tuple[Box, bool]:
    """What to cut from an image, and whether to mirror it."""
    height, width = data.image_size
    top, left = (
        int(rng.integers(load - size + 1))
        for load, size in zip(data.load_size, data.image_size, strict=True)
    )
    box = left, top, left + width, top + height
    box = tuple(x / side for x, side in zip(box, data.load_size[::-1] * 2, strict=True))
    return box, data.flip and rng.random() < 0.5


def _example(record: dict, data: Data, box: Box, mirror: bool) -> Example:
    a, b = sides(record)
    channels = {"input": data.input_channels, "target": data.target_channels}
    images = (a, b) if data.direction == "AtoB" else (b, a)
    example = {}
    for (name, c), image in zip(channels.items(), images, strict=True):
        pixels = to_float(resize(with_channels(image, c), _size(data), _pixels(box, image)))
        example[name] = pixels[:, ::-1] if mirror else pixels  # [h, w, c]
    return example


def sides(record: dict) -> tuple[Image.Image, Image.Image]:
    """A and B of a record, as they were found."""
    return split_pair(record["files"], [record["name"].decode()] * len(record["files"]))


def _size(data: Data) -> tuple[int, int]:
    """Width and height, as Pillow has it."""
    return data.image_size[::-1]


def _pixels(box: Box, image: Image.Image) -> tuple[float, ...]:
    """The box in the pixels of a file, so that it is cropped and resized in one."""
    return tuple(x * side for x, side in zip(box, image.size * 2, strict=True))
