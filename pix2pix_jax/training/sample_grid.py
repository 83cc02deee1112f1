"""Draws the sample grid, which shows the same validation pairs at each step that is sampled."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import jax
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.examples import evaluation_example
from pix2pix_jax.data.images.pixels import float_to_image
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.models.unet import translate_each
from pix2pix_jax.runtime.compile_notice import CompileNotice
from pix2pix_jax.training.divergence import check_finite

GAP, CAPTION_HEIGHT, FONT_SIZE = 4, 18, 12  # pixels


class SampleGrid:
    """Translates the first pairs of the validation split with the same noise at every step."""

    def __init__(self, config: Config, records: Sequence[dict]):
        """Reads the pairs.

        Args:
          config: the resolved config; `train.samples` is the number of pairs.
          records: the records of the validation split.
        """
        count = min(config.train.samples, len(records))
        examples = [evaluation_example(records[i], config.data) for i in range(count)]
        self._inputs = np.stack([example["input"] for example in examples])  # [n, h, w, c]
        self._targets = np.stack([example["target"] for example in examples])  # [n, h, w, c]
        self._keys = jax.random.split(stream_key(config, "samples"), count)
        self._translate = jax.jit(partial(translate_each, make_generator(config)))
        self._is_compiled = False

    def translate(self, step: int, params: dict) -> tuple[np.ndarray, float]:
        """Translates the inputs.

        Args:
          step: the step of the parameters, for the error.
          params: the parameters of the generator.

        Returns:
          The outputs [n, h, w, c] in [-1, 1], and their mean absolute difference from the targets.

        Raises:
          NotFinite: the difference is not finite.
        """
        name = "the generator for the samples"
        with nullcontext() if self._is_compiled else CompileNotice(name, min_seconds=5):
            outputs = np.asarray(self._translate({"params": params}, self._inputs, self._keys))
        self._is_compiled = True
        l1 = float(np.abs(outputs - self._targets).mean())
        check_finite(step, "validation/l1", l1)
        return outputs, l1

    def draw(self, outputs: np.ndarray) -> Image.Image:
        """Draws inputs, outputs [n, h, w, c] and targets side by side."""
        return draw_columns({"input": self._inputs, "output": outputs, "target": self._targets})


def draw_columns(columns: dict[str, np.ndarray]) -> Image.Image:
    """Draws images in columns with captions; each row shows one pair.

    Args:
      columns: the images of each column by its caption, [n, h, w, c] in [-1, 1]; c is 1, 3 or 4.
    """
    n, h, w, _ = next(iter(columns.values())).shape
    width, height = len(columns) * (w + GAP) + GAP, CAPTION_HEIGHT + n * (h + GAP)
    grid = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(FONT_SIZE)
    for column, (caption, images) in enumerate(columns.items()):
        left = GAP + column * (w + GAP)
        draw.text((left + w / 2, CAPTION_HEIGHT / 2), caption, "black", font, anchor="mm")
        for row, pixels in enumerate(images):
            top = CAPTION_HEIGHT + row * (h + GAP)
            grid.paste(float_to_image(pixels).convert("RGB"), (left, top))
    return grid
