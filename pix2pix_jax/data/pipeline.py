"""The prepared dataset as `batches[step]`: a pure function of (seed, step)."""

import os
from collections.abc import Iterator, Sequence

import grain
import numpy as np
import tensorflow_datasets as tfds

from pix2pix_jax.config import Config, Data, UsageError
from pix2pix_jax.data.images import resize, split_pair, to_float, with_channels

Example = dict[str, np.ndarray]


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
    takes its share, so that any number of processes sees the same global batches; `index` is
    the place of an image in the global batch.

    Args:
      config: resolved.
      records: of the training split.
      process_index, process_count: which share of each batch.
    """
    data = config.data
    return (
        grain.MapDataset.source(records)
        .seed(config.seed)
        .shuffle()
        .repeat()
        .random_map(lambda record, rng: jittered(record, data, rng))
        .map_with_index(lambda i, example: example | {"index": np.int32(i % data.batch_size)})[
            process_index::process_count
        ]
        .batch(data.batch_size // process_count, drop_remainder=True)
    )


def prefetched(batches: grain.MapDataset, first: int) -> Iterator[Example]:
    """batches[first], batches[first + 1], ... made ahead by threads."""
    options = grain.ReadOptions(num_threads=min(16, os.cpu_count() or 1), prefetch_buffer_size=16)
    return iter(batches[first:].to_iter_dataset(options))


def jittered(record: dict, data: Data, rng: np.random.Generator) -> Example:
    """A training example: resized to load_size, cropped and mirrored, A and B alike (6.2)."""
    top, left = (
        int(rng.integers(load - size + 1))
        for load, size in zip(data.load_size, data.image_size, strict=True)
    )
    return _example(record, data, top, left, data.load_size, data.flip and rng.random() < 0.5)


def plain(record: dict, data: Data) -> Example:
    """An example to look at or measure: resized to image_size, nothing random."""
    return _example(record, data, 0, 0, data.image_size, False)


def _example(
    record: dict, data: Data, top: int, left: int, load_size: tuple[int, int], mirror: bool
) -> Example:
    (height, width), (load_height, load_width) = data.image_size, load_size
    a, b = split_pair(record["files"], [record["name"].decode()] * len(record["files"]))
    channels = {"input": data.input_channels, "target": data.target_channels}
    images = (a, b) if data.direction == "AtoB" else (b, a)
    example = {}
    for (name, c), image in zip(channels.items(), images, strict=True):
        # Resize and crop in one: the box is the crop in the pixels of the file.
        across, down = image.width / load_width, image.height / load_height
        box = (left * across, top * down, (left + width) * across, (top + height) * down)
        pixels = to_float(resize(with_channels(image, c), (width, height), box))  # [h, w, c]
        example[name] = pixels[:, ::-1] if mirror else pixels
    return example
