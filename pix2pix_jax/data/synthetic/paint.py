"""Draws pairs of a toy dataset: a label map, and a photo of the building that it describes.

The label map fills the rectangles of a plan with the colours of their classes, the photo with
their materials. The details that a label map does not show (grain, clouds, the tone of single
bricks, curtains) stay faint in the photo, so that a network can learn most of the photo.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pix2pix_jax.data.images.palettes import CMP, Colour
from pix2pix_jax.data.synthetic.plan import STYLES, Box, Element, Rng, Style, plan_building

PixelBox = tuple[int, int, int, int]  # left, top, and exclusive right and bottom, in pixels
SUPERSAMPLE = 2  # the photo is drawn this many times larger; averaging then smooths the edges
LIT, SHADED = 255, 120  # values of Canvas.light in the sun and in a shadow
# The factors of red, green and blue where Canvas.light is 0.
SHADOW = np.array([0.32, 0.36, 0.46], np.float32)


class Material(NamedTuple):
    """A solid material; smaller rectangles, its fields, may divide its surface.

    Colours are keys of Style.colours. Lengths are in units of Canvas.px.
    """

    colour: str
    inlay: str  # the colour of the fields, which are painted a little darker
    field: tuple[float, float]  # width and height of a field; 0: as large as the surface
    gap: tuple[float, float]  # width of the gap beside a field, height of the gap above a field
    depth: float  # distance of the surface from the wall; it decides the size of the shadow


MATERIALS = {
    "stone": Material("trim", "trim", field=(0, 0), gap=(0.8, 0.8), depth=1.5),
    "fluting": Material("trim", "trim", field=(1.6, 0), gap=(0.5, 0.5), depth=1.5),
    "brackets": Material("trim", "trim", field=(3, 0), gap=(1, 1), depth=2.5),
    "tiles": Material("roof", "roof", field=(3, 0), gap=(0.5, 0.5), depth=0.5),
    "panels": Material("wood", "wood", field=(6, 9), gap=(1, 1), depth=0.5),
    "shutter": Material("wood", "wood", field=(0, 1.6), gap=(0.6, 0.6), depth=1),
    "blind": Material("cloth", "cloth", field=(0, 1.6), gap=(0.6, 0.6), depth=1),
    "awning": Material("cloth", "trim", field=(6, 0), gap=(3, 0.5), depth=3),
}


class Canvas(NamedTuple):
    """The picture while it is painted."""

    image: Image.Image  # RGB: the colours
    light: Image.Image  # L: the light on the colours
    wall: Image.Image  # masonry as large as the picture; all walls are parts of this image
    style: Style
    rng: Rng

    def px(self, units: float) -> int:
        """Converts a length in 1/128 of the picture's shorter side to pixels, at least 1."""
        return max(1, round(units * min(self.image.size) / 128))


def draw_facade(
    seed: int, height: int, width: int, ambiguous: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the photo and the label map of a building; equal arguments give equal pixels.

    Args:
      seed: the seed of the building, and of all details of the photo.
      height, width: the size of both images, in pixels.
      ambiguous: whether the building is painted in a random style and shade, so that the colours,
        the masonry and the shapes of the windows do not follow from the label map.

    Returns:
      The photo and the label map, both uint8 [height, width, 3].
    """
    layout_rng, texture_rng = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    style = STYLES[layout_rng.integers(len(STYLES))]
    plan = list(plan_building(layout_rng, style))
    label = paint_label(plan, height, width)
    if ambiguous:
        style = STYLES[texture_rng.integers(len(STYLES))]
        shade = texture_rng.uniform(0.7, 1.1)
        style = style._replace(colours={k: tint(v, shade) for k, v in style.colours.items()})
    return paint_photo(plan, style, label, texture_rng), label


def to_pixel_box(box: Box, height: int, width: int) -> PixelBox:
    """Converts a box in fractions to whole pixels, at least one wide and one high."""
    left, top, right, bottom = np.multiply(box, (width, height) * 2).round().astype(int).tolist()
    return left, top, max(right, left + 1), max(bottom, top + 1)


def paint_label(plan: list[Element], height: int, width: int) -> np.ndarray:
    """Paints the label map in the colours of the CMP palette: uint8 [height, width, 3]."""
    image = Image.new("RGB", (width, height))
    for element in plan:
        image.paste(CMP.classes[element.kind], to_pixel_box(element.box, height, width))
    return np.array(image)


def paint_photo(plan: list[Element], style: Style, label: np.ndarray, rng: Rng) -> np.ndarray:
    """Paints the photo of the building of a plan and a label map: uint8 [height, width, 3]."""
    height, width, _ = label.shape
    size = (SUPERSAMPLE * width, SUPERSAMPLE * height)
    wall = make_wall(rng, style, size)
    canvas = Canvas(Image.new("RGB", size), Image.new("L", size, LIT), wall, style, rng)
    for _, box, material in plan:
        left, top, right, bottom = (SUPERSAMPLE * x for x in to_pixel_box(box, height, width))
        PAINTERS[material](canvas, (left, top, right, bottom))
    return expose(canvas, sky=(label == CMP.classes["background"]).all(-1))


def expose(canvas: Canvas, sky: np.ndarray) -> np.ndarray:
    """Multiplies the colours by the light, shades the corners, and adds the noise of a camera.

    Args:
      canvas: the painted picture, SUPERSAMPLE times as large as the photo.
      sky: bool [height, width]; True for the sky, because no shadow falls on the sky.

    Returns:
      uint8 [height, width, 3].
    """
    height, width = sky.shape
    blur = ImageFilter.GaussianBlur(0.6 * min(sky.shape) / 128)
    light = np.asarray(canvas.light.reduce(SUPERSAMPLE).filter(blur), np.float32)[..., None] / LIT
    light[sky] = 1
    colours = np.asarray(canvas.image.reduce(SUPERSAMPLE), np.float32)
    photo = colours * (SHADOW * (1 - light) + light)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    # The sun is at the upper left, and a lens makes the corners of a photo darker.
    brightness = 1.02 - 0.015 * (x + y) - 0.025 * (x**2 + y**2)
    photo *= brightness.astype(np.float32)[..., None]
    photo += 1.0 * canvas.rng.standard_normal((height, width, 1), dtype=np.float32)
    return photo.clip(0, 255).astype(np.uint8)


def tint(colour: Colour, factor: float) -> Colour:
    """Makes a colour brighter if `factor` is above 1, else darker."""
    red, green, blue = np.multiply(colour, factor).clip(0, 255).astype(int).tolist()
    return red, green, blue


def make_wall(rng: Rng, style: Style, size: tuple[int, int]) -> Image.Image:
    """Makes a bare wall as large as the picture; every other course is shifted by half a block."""
    width, height = size
    courses, blocks, joint = style.masonry
    up, along = np.arange(height) * courses / height, np.arange(width) * blocks / width
    along = along + 0.5 * (np.arange(courses)[:, None] % 2)
    tones = 1 + 0.02 * rng.standard_normal((courses, blocks + 1))
    relief = np.take_along_axis(tones, along.astype(int), axis=1)
    # A horizontal joint is 0.16 courses thick, and in a square picture a vertical joint is, too.
    relief[along % 1 < 0.16 * blocks / courses] = joint
    relief = relief[up.astype(int)] * np.where(up % 1 < 0.16, joint, 1)[:, None]
    stains = Image.fromarray(np.float32(1 + 0.015 * rng.standard_normal((9, 9))))
    relief *= np.asarray(stains.resize(size, Image.Resampling.BICUBIC))
    colour = np.multiply(style.colours["wall"], rng.uniform(0.985, 1.015, 3))
    return Image.fromarray((relief[..., None] * colour).clip(0, 255).astype(np.uint8))


@cache
def make_glass() -> list[Image.Image]:
    """Makes small pictures of glass: most reflect the sky, some show curtains, one shows a lamp."""
    y, x = np.mgrid[0:1:24j, 0:1:16j][..., None]
    glint = np.where(abs(x + 0.7 * y - 0.7) < 0.16, 1.12, 1)
    clear = glint * ((1 - y) * (132, 160, 188) + y * (76, 92, 112))
    curtain = np.where(abs(x - 0.5) > 0.22 + 0.12 * y, 0.6 * clear + 70, clear)
    lamp = 0.3 * clear + (0.75 - 0.2 * y) * (255, 200, 112)
    clear, curtain, lamp = (Image.fromarray(a.astype(np.uint8)) for a in (clear, curtain, lamp))
    return [clear] * 8 + [curtain] * 4 + [lamp]


def split_box(box: PixelBox, columns: int, rows: int, gap: tuple[int, int]) -> Iterator[PixelBox]:
    """Splits a box into equal cells with gaps around them; leaves out cells that are too small."""
    left, top, right, bottom = box
    xs = np.linspace(left, right - gap[0], columns + 1).round().astype(int).tolist()
    ys = np.linspace(top, bottom - gap[1], rows + 1).round().astype(int).tolist()
    for y0, y1 in pairwise(ys):
        for x0, x1 in pairwise(xs):
            if x0 + gap[0] < x1 and y0 + gap[1] < y1:
                yield x0 + gap[0], y0 + gap[1], x1, y1


def paint_solid(material: Material, canvas: Canvas, box: PixelBox) -> None:
    """Paints a block with a bright upper and a dark lower edge, and a shadow to the lower right."""
    left, top, right, bottom = box
    colour, inlay = canvas.style.colours[material.colour], canvas.style.colours[material.inlay]
    drop, edge = canvas.px(material.depth), canvas.px(0.5)
    canvas.light.paste(SHADED, (left + drop // 2, top + drop, right + drop // 2, bottom + drop))
    canvas.light.paste(LIT, box)
    canvas.image.paste(colour, box)
    canvas.image.paste(tint(colour, 1.1), (left, top, right, top + edge))
    canvas.image.paste(tint(colour, 0.82), (left, bottom - edge, right, bottom))
    width, height = material.field
    columns = (right - left) // canvas.px(width) if width else 1
    rows = (bottom - top) // canvas.px(height) if height else 1
    beside, above = material.gap
    for field in split_box(box, columns, rows, (canvas.px(beside), canvas.px(above))):
        canvas.image.paste(tint(inlay, 0.88), field)


def paint_sky(canvas: Canvas, box: PixelBox) -> None:
    """Paints a blue sky that is paler towards the horizon, with faint clouds."""
    fade = np.linspace(0, 1, 12)[:, None, None]
    blue = (1 - fade) * (138, 182, 228) + fade * (196, 218, 238)
    cloud = 0.3 * canvas.rng.random((12, 6, 1)) ** 2
    sky = Image.fromarray((blue + cloud * (250 - blue)).astype(np.uint8))
    canvas.image.paste(sky.resize(canvas.image.size, Image.Resampling.BICUBIC), box)


def paint_wall(canvas: Canvas, box: PixelBox) -> None:
    """Paints masonry; its courses are aligned in the whole picture."""
    canvas.image.paste(canvas.wall.crop(box), box)


def paint_glass(canvas: Canvas, box: PixelBox) -> None:
    """Paints one clear pane."""
    left, top, right, bottom = box
    canvas.image.paste(make_glass()[0].resize((right - left, bottom - top)), box)


def paint_window(canvas: Canvas, box: PixelBox) -> None:
    """Paints panes in a frame that is set back, with a shadow at the left and at the top."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    glass = make_glass()[canvas.rng.integers(len(make_glass()))].resize((width, height))
    window = Image.new("RGB", (width, height), canvas.style.colours["frame"])
    bar = canvas.px(0.6)
    for pane in split_box((0, 0, width, height), *canvas.style.panes, (bar, bar)):
        window.paste(glass.crop(pane), pane)
    shape = Image.new("L", (width, height), 255)
    if canvas.style.arched:
        shape.paste(0, (0, 0, width, width // 2))
        ImageDraw.Draw(shape).ellipse((0, 0, width - 1, width - 1), fill=255)
    canvas.image.paste(window, (left, top), shape)
    canvas.light.paste(SHADED, (left, top), shape)
    reveal = canvas.px(1.2)
    lit = shape.crop((0, 0, width - reveal, height - reveal))
    canvas.light.paste(LIT, (left + reveal, top + reveal), lit)


def paint_railing(canvas: Canvas, box: PixelBox) -> None:
    """Paints bars between two rails; the window behind them stays visible."""
    left, top, right, bottom = box
    colour, bar = canvas.style.colours["rail"], canvas.px(0.6)
    for x in range(left, right, canvas.px(2)):
        canvas.image.paste(colour, (x, top, x + bar, bottom))
    for y in (top, bottom - canvas.px(3.5)):
        canvas.image.paste(colour, (left, y, right, y + bar))


PAINTERS: dict[str, Callable[[Canvas, PixelBox], None]] = {
    "sky": paint_sky,
    "wall": paint_wall,
    "glass": paint_glass,
    "window": paint_window,
    "railing": paint_railing,
} | {name: partial(paint_solid, material) for name, material in MATERIALS.items()}
