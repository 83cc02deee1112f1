"""The parts that all pages share: Jinja2 templates, pictures, links and the format of values."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from pix2pix_jax.config.metrics import METRICS

TRUTH = "ground truth"
TEMPLATES = Path(__file__).with_name("templates")


def inline_file(name: str) -> Markup:
    """Reads a CSS or JavaScript file in templates/, so that its text becomes part of a page."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def format_code(text: str) -> Markup:
    """Shows the parts of a plain text between backticks as code, as Markdown does."""
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))


ENVIRONMENT.globals["inline_file"] = inline_file
ENVIRONMENT.filters["code"] = format_code


@dataclass(frozen=True)
class Picture:
    """An image file as a page shows it.

    Attributes:
      link: path relative to the folder of the page, with slashes; not yet quoted for a URL.
      width, height: size in pixels; a browser reserves this space before it reads the file.
      caption: the text for readers who cannot see the picture.
    """

    link: str
    width: int
    height: int
    caption: str


def render(template: str, **data: Any) -> str:
    """Renders a template of this package as HTML; plain text in `data` is escaped.

    Args:
      template: file name in templates/.
      data: values by the names that the template uses.

    Raises:
      jinja2.UndefinedError: the template uses a name that is not in `data`.
    """
    return ENVIRONMENT.get_template(template).render(**data)


def open_picture(path: Path, link: str, caption: str) -> Picture:
    """Makes a Picture from an image file.

    Args:
      path: the current path of the file.
      link: the link from the page to the file; see `relative_link`.
      caption: the text for readers who cannot see the picture.
    """
    with Image.open(path) as image:
        width, height = image.size
    return Picture(link, width, height, caption)


def relative_link(target: Path, page: Path) -> str:
    """The path of a file relative to the folder of a page, such as ../samples/step_00001000.png."""
    return Path(os.path.relpath(target, page.parent)).as_posix()


def format_metric(metric: str, value: float | None) -> str:
    """Formats a value for a table; None means an infinite PSNR, or a metric not measured."""
    if value is None:
        return "∞" if METRICS[metric].infinite_if_equal else "-"
    return f"{value:.3f}"
