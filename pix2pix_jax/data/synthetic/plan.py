"""Plans invented buildings as rectangles, each with a class and a material.

The style of a building decides how the elements look, and how likely each kind of element is. So
most of the photo can be predicted from the label map.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pix2pix_jax.data.images.palettes import Colour

Rng = np.random.Generator
Box = tuple[float, float, float, float]  # left, top, right, bottom in fractions of the picture


class Style(NamedTuple):
    """A kind of building: its colours, its proportions and the chances of its features."""

    colours: dict[str, Colour]
    masonry: tuple[int, int, float]  # courses, blocks in a course, brightness of the joints
    storeys: tuple[int, int]  # smallest and largest number above the ground floor
    bays: tuple[int, int]  # smallest and largest number of columns of windows
    opening: tuple[float, float, float]  # width, top and bottom of a window, in fractions of a bay
    panes: tuple[int, int]  # columns and rows of panes in a window
    roof_height: float  # in fractions of the picture
    gable_steps: tuple[int, int]  # smallest and largest number of steps
    chances: dict[str, float]  # the probability that a building has a feature, by feature
    arched: bool = False  # windows end in an arch, and pillars may stand between all bays
    shutters: bool = False  # blinds hang beside the windows, not over them


# fmt: off
BRICK = Style(
    {"wall": (166, 86, 68), "trim": (206, 190, 164), "frame": (222, 214, 198),
     "wood": (50, 86, 74), "roof": (104, 142, 128), "cloth": (50, 110, 88), "rail": (60, 60, 64)},
    masonry=(44, 18, 1.1), storeys=(2, 4), bays=(4, 5), opening=(0.46, 0.22, 0.8),
    panes=(2, 2), roof_height=0.015, gable_steps=(0, 3),
    chances={"shop": 0.9, "sill": 1, "molding": 0.6, "deco": 0.4, "blind": 0.3, "pillar": 0.2},
)
LIMEWASH = Style(
    {"wall": (224, 212, 188), "trim": (236, 228, 210), "frame": (214, 212, 206),
     "wood": (60, 80, 112), "roof": (122, 138, 160), "cloth": (152, 62, 66), "rail": (84, 88, 98)},
    masonry=(24, 7, 0.96), storeys=(2, 4), bays=(4, 6), opening=(0.42, 0.2, 0.92),
    panes=(2, 3), roof_height=0.1, gable_steps=(0, 0),
    chances={"balcony": 1, "dormer": 0.8, "molding": 0.8, "shop": 0.6, "deco": 0.5, "blind": 0.4},
)
SANDSTONE = Style(
    {"wall": (206, 174, 122), "trim": (224, 200, 154), "frame": (104, 78, 58),
     "wood": (128, 84, 56), "roof": (196, 168, 122), "cloth": (170, 120, 60),
     "rail": (218, 194, 148)},
    masonry=(20, 8, 0.92), storeys=(2, 3), bays=(3, 5), opening=(0.44, 0.26, 0.84),
    panes=(2, 3), roof_height=0.015, gable_steps=(0, 2), arched=True,
    chances={"pillar": 1, "deco": 0.8, "molding": 1, "sill": 0.8, "balcony": 0.3, "shop": 0.1},
)
STUCCO = Style(
    {"wall": (234, 164, 134), "trim": (246, 234, 214), "frame": (230, 224, 214),
     "wood": (62, 118, 104), "roof": (190, 104, 76), "cloth": (232, 188, 96),
     "rail": (92, 102, 102)},
    masonry=(1, 1, 1), storeys=(2, 3), bays=(3, 4), opening=(0.36, 0.2, 0.78),
    panes=(2, 2), roof_height=0.06, gable_steps=(0, 0), shutters=True,
    chances={"blind": 1, "sill": 1, "balcony": 0.6, "molding": 0.5, "deco": 0.2, "shop": 0.3},
)
# fmt: on
STYLES = (BRICK, LIMEWASH, SANDSTONE, STUCCO)


class Element(NamedTuple):
    """A rectangle of one class and one material."""

    kind: str  # a class of the CMP palette
    box: Box
    material: str = "stone"  # one of the PAINTERS in paint.py


class House(NamedTuple):
    """The values that all parts of a building need while the building is planned."""

    rng: Rng
    style: Style
    has: set[str]  # the features of the building
    walls: tuple[float, float]  # left and right end of the building
    xs: np.ndarray  # [bays + 1]: the left and right ends of the bays


def plan_building(rng: Rng, style: Style) -> Iterator[Element]:
    """Plans the elements of a building from back to front; later elements cover earlier ones."""
    margins = (0, 0, 0.05, 0.1)  # possible widths of the sky at a side; half of them are 0
    left, right = rng.choice(margins), 1 - rng.choice(margins)
    spans = (style.storeys, style.bays, style.gable_steps)
    storeys, bays, steps = (int(rng.integers(*span, endpoint=True)) for span in spans)
    eaves = rng.uniform(0.09, 0.12) + style.roof_height + 0.05 * steps
    street = rng.uniform(0.74, 0.79)
    xs = np.linspace(left + 0.03, right - 0.03, bays + 1)
    ys = np.linspace(eaves + 0.015, street, storeys + 1)
    has = {feature for feature, chance in style.chances.items() if rng.random() < chance}
    house = House(rng, style, has, (left, right), xs)

    yield Element("background", (0, 0, 1, 1), "sky")
    yield Element("facade", (left, eaves, right, 1), "wall")
    yield from plan_roof(house, eaves, steps)
    if "pillar" in has:
        for x in xs if style.arched else xs[[0, -1]]:
            yield from plan_pillar(x, 0.07 * (xs[1] - xs[0]), ys[0], street)
    if "molding" in has:
        for y in (*ys[1:-1:2], street, 0.985):
            yield Element("molding", (left, y - 0.012, right, y + 0.015))
    for top, bottom in pairwise(ys):
        yield from plan_storey(house, top, bottom)
    yield from plan_ground_floor(house, street)


def plan_roof(house: House, eaves: float, steps: int) -> Iterator[Element]:
    """Plans the roof, its cornice and dormers, and a stepped gable or two chimneys on the roof."""
    left, right = house.walls
    ridge, middle, half = eaves - house.style.roof_height, (left + right) / 2, (right - left) / 2
    yield Element("cornice", (left - 0.012, eaves, right + 0.012, eaves + 0.018), "brackets")
    yield Element("cornice", (left - 0.016, ridge, right + 0.016, eaves), "tiles")
    if "dormer" in house.has:
        for x in (house.xs[1:] + house.xs[:-1]) / 2:
            yield Element("window", (x - 0.022, ridge + 0.03, x + 0.022, eaves - 0.01), "window")
            yield Element("deco", (x - 0.03, ridge + 0.01, x + 0.03, ridge + 0.03))
    if steps:
        edges = pairwise(np.linspace(ridge, 0.04, steps + 1))
        blocks = [(middle, (0.66 - 0.2 * i) * half, *ys) for i, ys in enumerate(edges)]
    else:
        spots = middle + half * house.rng.uniform((-0.8, 0.2), (-0.2, 0.8))
        blocks = [(x, 0.03, ridge, ridge - 0.04) for x in spots]
    for x, reach, foot, top in blocks:
        x0, x1 = x - reach, x + reach
        yield Element("facade", (x0, top, x1, foot), "wall")
        yield Element("cornice", (x0 - 0.01, top - 0.01, x1 + 0.01, top + 0.01), "tiles")
    if steps:
        yield Element("deco", (middle - 0.05, ridge - 0.055, middle + 0.05, ridge - 0.015))


def plan_pillar(x: float, half: float, top: float, foot: float) -> Iterator[Element]:
    """Plans a pillar: a shaft of width 2 * `half` around x, with a capital and a base."""
    yield Element("pillar", (x - half, top, x + half, foot), "fluting")
    for y in (top, foot - 0.025):
        yield Element("pillar", (x - half - 0.008, y, x + half + 0.008, y + 0.025))


def plan_storey(house: House, top: float, bottom: float) -> Iterator[Element]:
    """Plans a row of windows: with one long balcony, a balcony at each window, or no balcony."""
    layout = house.rng.choice(["row", "single", "none"]) if "balcony" in house.has else "none"
    sills = {"sill"} if layout == "none" else set()  # a balcony takes the place of the sills
    decos = {"deco"} if house.rng.random() < 0.5 else set()
    house = house._replace(has=house.has & (sills | decos | {"blind"}))
    for left, right in pairwise(house.xs):
        yield from plan_opening(house, (left, top, right, bottom))
    inset = 0.14 * (house.xs[1] - house.xs[0])
    spans = {"row": [house.xs[[0, -1]]], "single": pairwise(house.xs), "none": []}
    for left, right in spans[layout]:
        x0, x1, railing = left + inset, right - inset, bottom - 0.28 * (bottom - top)
        yield Element("balcony", (x0, railing, x1, bottom), "railing")
        yield Element("balcony", (x0, bottom - 0.016, x1, bottom))


def plan_opening(house: House, bay: Box) -> Iterator[Element]:
    """Plans a window in the middle of a bay, with its blinds, decoration and sill."""
    left, top, right, bottom = bay
    width, head, foot = house.style.opening
    middle, half, height = (left + right) / 2, width * (right - left) / 2, bottom - top
    x0, y0, x1, y1 = middle - half, top + head * height, middle + half, top + foot * height
    yield Element("window", (x0, y0, x1, y1), "window")
    if "blind" in house.has and house.style.shutters:
        yield Element("blind", (x0 - 0.8 * half, y0, x0, y1), "shutter")
        yield Element("blind", (x1, y0, x1 + 0.8 * half, y1), "shutter")
    elif "blind" in house.has and house.rng.random() < 0.6:
        drawn = house.rng.uniform(0.25, 0.5) * (y1 - y0)
        yield Element("blind", (x0, y0, x1, y0 + drawn), "blind")
    x0, x1 = x0 - 0.3 * half, x1 + 0.3 * half
    if "deco" in house.has:
        yield Element("deco", (x0, y0 - 0.15 * height, x1, y0 - 0.02 * height))
    if "sill" in house.has:
        yield Element("sill", (x0, y1, x1, y1 + 0.018))


def plan_ground_floor(house: House, street: float) -> Iterator[Element]:
    """Plans one door, and a shop or windows on each side of the door."""
    bay = house.rng.integers(1, len(house.xs) - 2)  # neither the first nor the last bay
    left, right = house.xs[bay : bay + 2]
    middle, half, head = (left + right) / 2, min(0.28 * (right - left), 0.065), street + 0.04
    yield Element("door", (middle - half, head, middle + half, 1))
    left, right = middle - half + 0.01, middle + half - 0.01
    yield Element("door", (left, head + 0.045, right, 1), "panels")
    yield Element("door", (left, head + 0.01, right, head + 0.045), "glass")
    for side in (house.xs[: bay + 1], house.xs[bay + 1 :]):
        if "shop" in house.has and house.rng.random() < 0.8:
            yield from plan_shop(side, street + 0.02)
        else:
            for left, right in pairwise(side):
                yield from plan_opening(house, (left, street, right, 0.98))


def plan_shop(xs: np.ndarray, top: float) -> Iterator[Element]:
    """Plans a shop: a panelled front under one awning, with a window in each bay."""
    yield Element("shop", (xs[0], top, xs[-1], 1), "panels")
    for left, right in pairwise(xs):
        yield Element("shop", (left + 0.01, top + 0.04, right - 0.01, 0.96), "glass")
    yield Element("shop", (xs[0], top + 0.035, xs[-1], top + 0.08), "awning")
