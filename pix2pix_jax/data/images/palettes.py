"""The colours of the classes in label maps, and the class of a pixel according to its colour."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

Colour = tuple[int, int, int]
IGNORED = 255  # the class index of pixels that are not scored


class Palette(NamedTuple):
    """The classes of a label map by name, and their colours."""

    classes: dict[str, Colour]
    ignored: tuple[Colour, ...] = ()  # colours of pixels that are not scored


# The twelve classes of the CMP set, in the colours of its own label maps.
CMP = Palette(
    {
        "background": (0, 0, 170),
        "facade": (0, 0, 255),
        "window": (0, 85, 255),
        "door": (0, 170, 255),
        "cornice": (0, 255, 255),
        "sill": (85, 255, 170),
        "balcony": (170, 255, 85),
        "blind": (255, 255, 0),
        "deco": (255, 170, 0),
        "molding": (255, 85, 0),
        "pillar": (255, 0, 0),
        "shop": (170, 0, 0),
    }
)
# The classes of CMP, in the colours of the public `facades` set: each colour is the median of the
# pixels of its class in the JPEG files.
CMP_PUBLIC = Palette(
    {
        "background": (0, 0, 222),
        "facade": (0, 48, 255),
        "window": (0, 128, 255),
        "door": (0, 207, 255),
        "cornice": (32, 255, 224),
        "sill": (112, 254, 142),
        "balcony": (192, 255, 63),
        "blind": (255, 240, 0),
        "deco": (255, 159, 0),
        "molding": (255, 80, 0),
        "pillar": (254, 0, 0),
        "shop": (174, 0, 0),
    }
)
# The 19 classes that Cityscapes scores, and the colours of the classes that it does not score.
CITYSCAPES = Palette(
    {
        "road": (128, 64, 128),
        "sidewalk": (244, 35, 232),
        "building": (70, 70, 70),
        "wall": (102, 102, 156),
        "fence": (190, 153, 153),
        "pole": (153, 153, 153),
        "traffic light": (250, 170, 30),
        "traffic sign": (220, 220, 0),
        "vegetation": (107, 142, 35),
        "terrain": (152, 251, 152),
        "sky": (70, 130, 180),
        "person": (220, 20, 60),
        "rider": (255, 0, 0),
        "car": (0, 0, 142),
        "truck": (0, 0, 70),
        "bus": (0, 60, 100),
        "train": (0, 80, 100),
        "motorcycle": (0, 0, 230),
        "bicycle": (119, 11, 32),
    },
    ignored=(
        (0, 0, 0),  # unlabelled, ego vehicle, static
        (111, 74, 0),  # dynamic
        (81, 0, 81),  # ground
        (250, 170, 160),  # parking
        (230, 150, 140),  # rail track
        (180, 165, 180),  # guard rail
        (150, 100, 100),  # bridge
        (150, 120, 90),  # tunnel
        (0, 0, 90),  # caravan
        (0, 0, 110),  # trailer
    ),
)
# The palettes that the label maps of a dataset may use, by data.name. In all of these datasets, A
# is the photo and B the label map.
PALETTES = {
    "synthetic_facades": (CMP,),
    "facades": (CMP_PUBLIC, CMP),
    "cityscapes": (CITYSCAPES,),
}


def nearest_class(pixels: np.ndarray, palette: Palette) -> np.ndarray:
    """The class of every pixel: the class with the nearest colour, because JPEG changes colours.

    Args:
      pixels: uint8 [..., 3].
      palette: the colours of the classes.

    Returns:
      uint8 [...]: indices of classes, or IGNORED.
    """
    indices, _ = _nearest_colour(pixels, palette)
    classes = np.full(len(palette.classes) + len(palette.ignored), IGNORED, np.uint8)
    classes[: len(palette.classes)] = np.arange(len(palette.classes))
    return classes[indices].reshape(pixels.shape[:-1])


def best_palette(
    palettes: Sequence[Palette], labels: Sequence[Image.Image]
) -> tuple[Palette, float]:
    """Finds the palette of label maps, and the distance of their pixels from this palette.

    Returns:
      The nearest palette, and the median distance in RGB of a pixel from its nearest colour, 0 to
      441. The distance is a few levels after JPEG, and tens of levels if the images use another
      palette or are photos.
    """
    # Every fourth pixel of every fourth line is enough to tell palettes apart.
    pixels = np.concatenate(
        [np.asarray(label.convert("RGB"))[::4, ::4].reshape(-1, 3) for label in labels]
    )
    distances = [float(np.median(_nearest_colour(pixels, palette)[1])) for palette in palettes]
    best = int(np.argmin(distances))
    return palettes[best], distances[best]


def _nearest_colour(pixels: np.ndarray, palette: Palette) -> tuple[np.ndarray, np.ndarray]:
    """The index [n] of the colour nearest to each pixel, uint8, and the distance [n] in RGB.

    Ignored colours follow the colours of the classes.
    """
    flat = pixels.reshape(-1, 3).astype(np.int32)  # [n, 3]
    indices, least = np.zeros(len(flat), np.uint8), np.full(len(flat), 3 * 255**2 + 1)
    # The loop takes one colour at a time, because the distances from all colours together would
    # need a hundred times the memory of the label map.
    for index, colour in enumerate((*palette.classes.values(), *palette.ignored)):
        squared = ((flat - np.array(colour, np.int32)) ** 2).sum(-1)
        nearer = squared < least
        indices[nearer], least[nearer] = index, squared[nearer]
    return indices, np.sqrt(least)


def class_map(label: Image.Image, palette: Palette) -> Image.Image:
    """Converts a label map to a grey image of class indices.

    Resize the result only by nearest neighbour, because other filters would mix the indices.
    """
    return Image.fromarray(nearest_class(np.asarray(label.convert("RGB")), palette))
