"""DecodedImage: the pixels of an image file, and what was noticed in the file."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from PIL import Image

from pix2pix_jax.data.images.pixels import (
    convert_array_channels,
    convert_channels,
    half_columns,
    image_to_float,
    integers_to_float,
)

Item = TypeVar("Item")
# The keys of notes that are only true of a run with 1 or 3 channels.
NOTES_ABOUT_FOURTH_BAND = ("alpha", "bands")
ALPHA_NOTE = {
    "alpha": "transparent parts are filled with white, because the run does not have 4 channels"
}


@dataclass(frozen=True)
class DecodedImage:
    """The pixels of an image file, and what was noticed in the file.

    Attributes:
      pixels: [h, w, c], uint8 or uint16 as in the file, upright; the pixels of a mapped file may
        have the byte order of another machine. c is 1 (grey), 2 (grey and alpha,
        8 bits only), 3 (RGB), or 4 (RGB and alpha, or RGB and a fourth band).
      has_alpha: whether the last channel is alpha.
      notes: notes for the user by kind, so that the files with each kind can be counted. The keys
        are "frames", "alpha", "bands", "sRGB", "CMYK" (without a profile), "CMYK profile"
        (damaged), "Adobe RGB", "profile" (not applied), "damaged profile", and the chunks of a PNG
        "gAMA", "cHRM" and "cICP".
      profile: the ICC profile of the file; None without a profile, or if `pixels` were converted.
      keeps_bytes: whether `image_files.decode_image` is known to give these pixels, too.
      is_multiplied: whether the colours are multiplied by alpha, as in some TIFF files.
    """

    pixels: np.ndarray
    has_alpha: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    profile: bytes | None = None
    keeps_bytes: bool = False
    is_multiplied: bool = False

    def notes_for(self, channels: int) -> dict[str, str]:
        """The notes that are true of a run whose images have `channels` channels."""
        return select_notes(self.notes, channels)


def select_notes(notes: dict[str, Item], channels: int) -> dict[str, Item]:
    """The notes, by kind, that are true of a run whose images have `channels` channels."""
    omitted = NOTES_ABOUT_FOURTH_BAND if channels == 4 else ()
    return {key: note for key, note in notes.items() if key not in omitted}


def describe_frames(count: int) -> dict[str, str]:
    """The note about a file of `count` frames or pages; {} if there is only one."""
    return {"frames": f"only the first of {count} frames is used"} if count > 1 else {}


def normalize_bands(image: DecodedImage) -> DecodedImage:
    """Converts pixels that no encoder writes.

    These are colours that are multiplied by alpha, grey values of 16 bits with alpha, and integers
    in the byte order of another machine.
    """
    pixels = image.pixels.astype(image.pixels.dtype.newbyteorder("="), copy=False)
    if image.is_multiplied:
        white, alpha = np.iinfo(pixels.dtype).max, pixels[..., -1:]
        # Whole numbers, rounded down, give the same colours as Pillow.
        divided = pixels[..., :-1].astype(np.uint32) * white // np.maximum(alpha, 1)
        colours = np.minimum(divided, white)
        # Pillow makes transparent colours black, and keeps transparent grey values.
        transparent = pixels[..., :-1] if pixels.shape[-1] == 2 else 0
        colours = np.where(alpha == 0, transparent, colours)
        pixels = np.concatenate([colours.astype(pixels.dtype), pixels[..., -1:]], -1)
    if pixels.dtype == np.uint16 and pixels.shape[-1] == 2:
        # Neither Pillow nor OpenCV knows grey images of 16 bits with alpha.
        pixels = pixels[..., [0, 0, 0, 1]]
    return replace(image, pixels=pixels, is_multiplied=False)


def blend_with_white(image: DecodedImage) -> np.ndarray:
    """The colours [h, w, c] of an image without alpha: transparent parts are filled with white.

    `convert_channels` fills them in the same way, up to a level.
    """
    pixels = image.pixels
    if not image.has_alpha:
        return pixels
    colours, white = pixels[..., :-1], np.iinfo(pixels.dtype).max
    alpha = pixels[..., -1:].astype(np.uint32)  # The sums below fit into 32 bits.
    if alpha.min() == white:
        return colours
    blended = (colours * alpha + white * (white - alpha) + white // 2) // white
    return blended.astype(pixels.dtype)


def split_pair(images: list[DecodedImage], names: list[str]) -> tuple[DecodedImage, DecodedImage]:
    """Finds A and B in the images of a pair, as `image_files.decode_pair` does.

    Raises:
      UsageError: one image is too narrow for two halves; the message names the file.
    """
    if len(images) == 2:
        return images[0], images[1]
    pixels = images[0].pixels
    left, right = half_columns(pixels.shape[1], names[0])
    a, b = pixels[:, left], pixels[:, right]
    return replace(images[0], pixels=a), replace(images[0], pixels=b)


def to_8_bits(image: DecodedImage) -> Image.Image:
    """Converts an image to 8 bits a channel, as `image_files.decode_image` does.

    Returns:
      An image of the mode L, LA, RGB or RGBA; RGBX if the fourth band is not alpha.
    """
    pixels = image.pixels
    if pixels.dtype == np.uint16:
        # The decoder of records rounds grey values, but takes the upper 8 bits of colours.
        is_grey = pixels.shape[-1] == 1
        pixels = np.round(pixels / 257) if is_grey else pixels >> 8
        pixels = pixels.astype(np.uint8)
    shown = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    if shown.mode == "RGBA" and not image.has_alpha:
        return Image.merge("RGBX", shown.split())
    return shown


def to_float(image: DecodedImage, channels: int) -> np.ndarray:
    """Converts an image to [h, w, channels] in [-1, 1]; 8-bit images become as in training."""
    if image.pixels.dtype == np.uint8:
        return image_to_float(convert_channels(to_8_bits(image), channels))
    pixels = image.pixels
    if pixels.shape[-1] == 4 != channels and not image.has_alpha:
        pixels = pixels[..., :3]
    return convert_array_channels(integers_to_float(pixels), channels)
