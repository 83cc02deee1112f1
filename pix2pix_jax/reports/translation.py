"""The page of a translation: what went in beside what came out, in one file."""

import base64
import html
import io
from pathlib import Path

import numpy as np

from pix2pix_jax.data.image_files import MODES, to_image
from pix2pix_jax.reports.page import page
from pix2pix_jax.runtime.files import write_atomically

PAGE = "before_after.html"
SHOWN = 400  # pictures, so that the page stays small enough to open
SIDE = 512  # of a picture on it, at most
STYLE = """<style>
body { max-width: none; }
.rows { display: flex; flex-wrap: wrap; gap: 1rem; align-items: start; }
.rows figure { display: grid; grid-template-columns: repeat(var(--images), minmax(0, 1fr));
               gap: 2px; margin: 0; flex: 0 1 calc(var(--images) * 18rem);
               max-width: calc(var(--images) * 24rem); }
.rows img { width: 100%; height: 100%; max-height: 32rem; min-height: 1rem; object-fit: contain;
            display: block; background: #eee; }
.rows span, .rows figcaption { font-size: 0.85rem; } .rows span { color: #666; }
.rows figcaption { grid-column: 1 / -1; }
</style>"""


def figure(name: str, images: list[np.ndarray]) -> str:
    """HTML of an image and its translations.

    Args:
      name: of the image.
      images: [h, w, c] in [-1, 1], the input first.
    """
    samples = [f"sample {number}" for number in range(1, len(images))]
    kinds = ["before", *(samples if len(samples) > 1 else ["after"])]
    pictures = "".join(
        f'<img loading="lazy" alt="{kind}" src="data:image/jpeg;base64,{thumbnail(values)}">'
        for kind, values in zip(kinds, images, strict=True)
    )
    heads = "".join(f"<span>{kind}</span>" for kind in kinds)
    return (
        f'<figure style="--images: {len(images)}"><figcaption>{html.escape(name)}</figcaption>'
        f"{pictures}{heads}</figure>"
    )


def thumbnail(values: np.ndarray) -> str:
    """A small JPEG in base 64; of other channels than an image has, the first."""
    shown = values if values.shape[-1] in MODES else values[..., :1]
    image = to_image(shown).convert("RGB")
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return base64.b64encode(file.getvalue()).decode()


def write_page(
    folder: Path, title: str, figures: list[str], done: int, total: int, failures: list[str]
) -> None:
    """Writes the page into the folder of the outputs.

    Args:
      folder: of the outputs.
      title: of the page.
      figures: HTML of the first images.
      done: how many were translated.
      total: how many were to be.
      failures: a line for each file that was not.
    """
    shown = "" if done == len(figures) else f"{len(figures)} of {done} are shown. "
    if done + len(failures) < total:
        shown += f"Stopped when {done} of {total} were translated. "
    failures = [line.encode(errors="backslashreplace").decode() for line in failures]  # of names
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in failures)
    failed = f"<h2>Not translated: {len(failures)}</h2><ul>{lines}</ul>" if failures else ""
    body = (
        f"{STYLE}<p>{shown}The files beside this page are at full size and depth.</p>{failed}"
        f'<div class="rows">{"".join(figures)}</div>'
    )
    write_atomically(folder / PAGE, page(title, body))
