"""The page of a translation: what went in beside what came out, in one file."""

import base64
import html
import io
from pathlib import Path

import numpy as np

from pix2pix_jax.data.images import MODES, to_image
from pix2pix_jax.files import write_whole
from pix2pix_jax.page import page

PAGE = "before_after.html"
SHOWN = 200  # images, so that the page stays small enough to open
SIDE = 512  # of a picture on it, at most


def figure(name: str, images: list[np.ndarray]) -> str:
    """HTML of an image and its translations.

    Args:
      name: of the image.
      images: [h, w, c] in [-1, 1], the input first.
    """
    cells = "".join(
        f'<img loading="lazy" alt="{kind}" src="data:image/jpeg;base64,{thumbnail(values)}">'
        for kind, values in zip(["before", *["after"] * (len(images) - 1)], images, strict=True)
    )
    style = f"grid-template-columns: repeat({len(images)}, 1fr)"
    return f'<figure style="{style}">{cells}<figcaption>{html.escape(name)}</figcaption></figure>'


def thumbnail(values: np.ndarray) -> str:
    """A small JPEG in base 64; of other channels than an image has, the first."""
    shown = values if values.shape[-1] in MODES else values[..., :1]
    image = to_image(shown).convert("RGB")
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return base64.b64encode(file.getvalue()).decode()


def write_page(folder: Path, title: str, figures: list[str], count: int) -> None:
    """Writes the page into the folder of the outputs."""
    all_shown = "" if count == len(figures) else f"The first {len(figures)} of {count}. "
    body = (
        f"<p>{all_shown}Before on the left, after on the right; the files beside this page are at "
        f'full size and depth.</p><div class="pairs">{"".join(figures)}</div>'
    )
    write_whole(folder / PAGE, page(title, body))
