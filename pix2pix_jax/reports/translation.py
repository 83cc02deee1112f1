"""The page of a translation: inputs next to their outputs, in one file with all pictures."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pix2pix_jax.data.images.large_image import ImageValues, LargeImage
from pix2pix_jax.data.images.pixels import PILLOW_MODES, float_to_image
from pix2pix_jax.reports.page import render
from pix2pix_jax.runtime.storage.files import write_atomically

PAGE = "before_after.html"
MAX_PICTURES = 400  # more pictures would make the page too large for a browser
MAX_SIDE = 512  # larger side of a picture on the page, in pixels

# A large image is first subsampled to this multiple of MAX_SIDE.
OVERSAMPLING = 4


@dataclass(frozen=True)
class Figure:
    """A row of the page: the pictures of an image and of its translations.

    Attributes:
      name: name of the image.
      pictures: JPEGs in base 64 by label, the input first.
    """

    name: str
    pictures: dict[str, str]


@dataclass(frozen=True)
class TranslationPage:
    """The content of the page.

    Attributes:
      title: title of the page.
      figures: figures of the first images.
      done: number of translated images.
      total: number of files to translate.
      failures: one line for each file that could not be translated.
    """

    title: str
    figures: list[Figure]
    done: int
    total: int
    failures: list[str]


def make_figure(name: str, images: list[ImageValues]) -> Figure:
    """Makes thumbnails of an image and its translations.

    Args:
      name: name of the image.
      images: each [h, w, c] in [-1, 1], the input first, then one or more outputs.
    """
    _, *outputs = images
    samples = [f"sample {number}" for number, _ in enumerate(outputs, 1)]
    labels = ["before", *(samples if len(samples) > 1 else ["after"])]
    return Figure(name, dict(zip(labels, map(encode_thumbnail, images), strict=True)))


def encode_thumbnail(values: ImageValues) -> str:
    """Encodes an image as a small JPEG in base 64.

    Args:
      values: [h, w, c] in [-1, 1]. If an image file cannot have c channels, the picture shows only
        the first channel.
    """
    if isinstance(values, LargeImage):
        step = -(-max(values.shape) // (OVERSAMPLING * MAX_SIDE))
        values = np.asarray(values[::step, ::step])
    channels = values if values.shape[-1] in PILLOW_MODES else values[..., :1]
    image = float_to_image(channels).convert("RGB")
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return base64.b64encode(file.getvalue()).decode()


def write_translation_page(folder: Path, page: TranslationPage) -> None:
    """Writes a page of images before and after into an output folder."""
    text = render(
        "translation.html",
        title=page.title,
        figures=page.figures,
        done=page.done,
        total=page.total,
        stopped=page.done + len(page.failures) < page.total,
        # File names may have bytes that are not UTF-8.
        failures=[line.encode(errors="backslashreplace").decode() for line in page.failures],
    )
    write_atomically(folder / PAGE, text)
