"""The sample grid: the same validation pairs, translated as training goes on."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.examples import evaluation_example
from pix2pix_jax.data.image_files import to_image
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.models.unet import translate
from pix2pix_jax.training.divergence import check_finite


def sample_grid(columns: dict[str, np.ndarray]) -> Image.Image:
    """Images side by side, one pair a row, under their captions.

    Args:
      columns: caption to images [n, h, w, c] in [-1, 1], c one of 1, 3, 4.
    """
    n, h, w, _ = next(iter(columns.values())).shape
    gap, head = 4, 18
    width, height = len(columns) * (w + gap) + gap, head + n * (h + gap)
    grid = Image.new("RGB", (width, height), "white")
    for column, (caption, images) in enumerate(columns.items()):
        left = gap + column * (w + gap)
        text = (left + w / 2, head / 2)
        ImageDraw.Draw(grid).text(text, caption, "black", ImageFont.load_default(12), anchor="mm")
        for row, pixels in enumerate(images):
            grid.paste(to_image(pixels).convert("RGB"), (left, head + row * (h + gap)))
    return grid


def sampler(
    config: Config, pairs: Sequence[dict]
) -> Callable[[int, dict], tuple[Image.Image, float]]:
    """A function of step and generator's parameters: a picture of some fixed pairs, and their L1.

    It raises UsageError when that is not finite.
    """
    examples = [
        evaluation_example(pairs[i], config.data)
        for i in range(min(config.train.samples, len(pairs)))
    ]
    images, targets = (np.stack([e[name] for e in examples]) for name in ("input", "target"))
    keys = jax.random.split(stream_key(config, "samples"), len(examples))
    generator = make_generator(config)
    apply = jax.jit(partial(translate, generator))

    def sample(step: int, params: dict) -> tuple[Image.Image, float]:
        outputs = np.asarray(apply(params, images, keys))
        error = float(np.abs(outputs - targets).mean())
        check_finite(step, "validation/l1", error)
        return sample_grid({"input": images, "output": outputs, "target": targets}), error

    return sample
