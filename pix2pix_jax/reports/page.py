"""What all pages share: static HTML that opens from disk, and charts in it as SVG."""

import html
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from pix2pix_jax.config.metrics import METRICS

TRUTH = "ground truth"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } p { max-width: 62rem; }
img, svg { max-width: 100%; height: auto; } figure { margin: 0 0 1rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
pre { background: #f4f4f4; padding: 1rem; overflow-x: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; overflow-wrap: normal; font-size: 0.85rem; }
td, th { padding: 0.2rem 0.3rem; text-align: right; vertical-align: top; }
td:first-child, th:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
tr { border-bottom: 1px solid #ddd; }
th { vertical-align: bottom; } td { white-space: nowrap; }
td:nth-child(3) { white-space: normal; min-width: 4rem; } /* why a variant failed */
.pairs, .heads { max-width: 50rem; }
.pairs figure { display: grid; grid-template-columns: repeat(3, 1fr); gap: 2px; }
.pairs img, .grid img { width: 100%; display: block; background: #eee; }
.pairs figcaption { grid-column: 1 / -1; font-size: 0.85rem; overflow-wrap: anywhere; }
.heads { display: grid; grid-template-columns: repeat(3, 1fr); position: sticky; top: 0;
         background: #fff; font-weight: 600; }
.grid { display: grid; gap: 2px; } .grid span { font-size: 0.8rem; align-self: end; }
select { font: inherit; max-width: 100%; }
"""


def page(title: str, body: str) -> str:
    """A whole page around its body.

    Args:
      title: plain text, also the heading.
      body: HTML.
    """
    title = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<link rel="icon" href="data:,">'  # or browsers ask the disk for one
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>{title}</h1>{body}</html>\n"
    )


def table_html(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """HTML of a table whose cells are HTML."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def picture_html(path: Path, link: str, caption: str) -> str:
    """HTML of a picture, read when it is scrolled to.

    Args:
      path: of the picture.
      link: to it, from the page.
      caption: for those who cannot see it.
    """
    with Image.open(path) as image:
        width, height = image.size
    return (
        f'<img loading="lazy" src="{quote(link)}" width="{width}" height="{height}" '
        f'alt="{html.escape(caption)}">'
    )


def format_metric(metric: str, value: float | None) -> str:
    """A value as tables have it; None is an infinite PSNR, or what could not be measured."""
    if value is None:
        return "∞" if METRICS[metric].infinite_if_equal else "-"
    return f"{value:.3f}"
