"""Translates images of many shapes; images of the same shape share batches."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from pix2pix_jax.config.resolve import round_up, side_multiple
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.images.decoded_image import DecodedImage
from pix2pix_jax.data.images.full_depth import FilePixels
from pix2pix_jax.data.images.large_image import ImageValues, LargeImage
from pix2pix_jax.data.images.pixels import PILLOW_MODES, WHITE, float_to_integers
from pix2pix_jax.inference.inputs import InputFile, LoadedImage, UnreadableImage
from pix2pix_jax.inference.options import TranslateOptions, tile_flag
from pix2pix_jax.inference.tiling import (
    pad_centered,
    resize_array,
    translate_tiles,
)
from pix2pix_jax.inference.translator import BATCH_SIZE, Translator
from pix2pix_jax.runtime.memory import explain_out_of_memory

# The images of a batch have at most this number of pixels in total; a larger image is a batch of
# its own.
MAX_BATCH_PIXELS = 2**21
# All images that wait for a full batch have at most this number of pixels in total.
MAX_WAITING_PIXELS = 2**24

Shape = tuple[int, int]  # height and width


@dataclass(frozen=True)
class TranslatedImage:
    """An image and its translations.

    Attributes:
      file: the image file.
      input: the pixels and the dtype of the file.
      samples: the translations, each [h, w, channels] in [-1, 1].
    """

    file: InputFile
    input: FilePixels
    samples: list[ImageValues]


class ShapeGroup(NamedTuple):
    """Images that are padded to one shape, so that they can share batches."""

    shape: Shape
    images: list[LoadedImage]


class ShapeGroups:
    """Images that wait until enough of them have the same shape for a batch."""

    def __init__(self) -> None:
        self._groups: dict[Shape, list[LoadedImage]] = {}

    def add(self, shape: Shape, image: LoadedImage) -> None:
        """Adds an image that will be padded to `shape`."""
        self._groups.setdefault(shape, []).append(image)

    def pop_ready(self) -> Iterator[ShapeGroup]:
        """Removes and yields all full groups, and the oldest groups while too many pixels wait."""
        for shape in list(self._groups):
            if len(self._groups[shape]) >= min(
                BATCH_SIZE, MAX_BATCH_PIXELS // math.prod(shape) or 1
            ):
                yield ShapeGroup(shape, self._groups.pop(shape))
        while self._num_pixels() > MAX_WAITING_PIXELS:
            yield self._pop_oldest()

    def pop_all(self) -> Iterator[ShapeGroup]:
        """Removes and yields all groups, the oldest first."""
        while self._groups:
            yield self._pop_oldest()

    def _pop_oldest(self) -> ShapeGroup:
        shape = next(iter(self._groups))
        return ShapeGroup(shape, self._groups.pop(shape))

    def _num_pixels(self) -> int:
        return sum(math.prod(shape) * len(images) for shape, images in self._groups.items())


class ImageTranslator:
    """Translates images of any shape: whole, in tiles, or resized to the size of training."""

    def __init__(self, translator: Translator, config: Config, options: TranslateOptions):
        self._translator = translator
        self._options = options
        self._tile_flag = tile_flag(config)
        self._multiple = side_multiple(config)
        self._size = config.data.image_size if options.resize else None

    def translate_all(
        self, images: Iterable[LoadedImage | UnreadableImage]
    ) -> Iterator[TranslatedImage | UnreadableImage]:
        """Translates images; the order changes, because images of the same shape share batches.

        Args:
          images: the images; an UnreadableImage is yielded unchanged.

        Raises:
          UsageError: an image is too large for the memory.
        """
        groups = ShapeGroups()
        for image in images:
            if isinstance(image, UnreadableImage):
                yield image
            elif self._options.tile:
                yield self._translate_tiles(image, self._options.tile)
            else:
                groups.add(self._padded_shape(image), image)
                for group in groups.pop_ready():
                    yield from self._translate_group(group)
        for group in groups.pop_all():
            yield from self._translate_group(group)

    def _padded_shape(self, image: LoadedImage) -> Shape:
        height, width = self._size or image.input.values.shape[:2]
        return round_up(height, self._multiple), round_up(width, self._multiple)

    def _translate_tiles(self, image: LoadedImage, side: int) -> TranslatedImage:
        samples = []
        with explain_out_of_memory(
            f"{image.file.path}: the image, or a tile of {side}x{side}, does not fit into memory",
            "give a smaller --tile or a smaller image",
        ):
            for sample in range(self._options.samples):
                translate = partial(self._translator.translate, sample=sample)
                strips = translate_tiles(translate, image.input.values, side)
                samples.append(join_strips(strips, image.input))
        return TranslatedImage(image.file, image.input, samples)

    def _translate_group(self, group: ShapeGroup) -> Iterator[TranslatedImage]:
        """Pads images to the shape of their group, and translates them as a batch."""
        padded, windows = [], []
        for image in group.images:
            values = np.asarray(image.input.values)  # [h, w, c]
            resized = resize_array(values, *self._size) if self._size else values
            larger, window = pad_centered(resized, *group.shape)
            padded.append(larger)
            windows.append(window)
        batch = np.stack(padded)  # [b, height, width, c]
        path = group.images[0].file.path
        with explain_out_of_memory(
            f"{path}: does not fit into memory", f"give {self._tile_flag} to translate tiles"
        ):
            outputs = [
                self._translator.translate(batch, sample) for sample in range(self._options.samples)
            ]
        for index, image in enumerate(group.images):
            samples = [output[index][windows[index]] for output in outputs]
            if self._size:
                height, width = image.input.values.shape[:2]
                samples = [resize_array(sample, height, width) for sample in samples]
            yield TranslatedImage(image.file, image.input, samples)


def join_strips(strips: Iterable[np.ndarray], pixels: FilePixels) -> ImageValues:
    """Joins the strips of a translation.

    For a large image, each strip is converted to integers before the next is made, to save memory.

    Args:
      strips: each [n, w, channels] in [-1, 1], from the top to the bottom.
      pixels: the pixels that were translated.
    """
    is_large = isinstance(pixels.values, LargeImage)
    parts = []
    for strip in strips:
        becomes_integers = is_large and strip.shape[-1] in PILLOW_MODES
        parts.append(float_to_integers(strip, pixels.dtype) if becomes_integers else strip)
    joined = np.concatenate(parts)  # [h, w, channels]
    if joined.dtype not in WHITE:
        return joined
    return LargeImage(DecodedImage(joined, has_alpha=joined.shape[-1] == 4), joined.shape[-1])
