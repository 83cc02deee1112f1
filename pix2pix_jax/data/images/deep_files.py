"""Reads PNG and PPM files of 16 bits a channel, because Pillow reads their colours in 8 bits."""

from typing import Any

import cv2
import numpy as np
from PIL.ImageFile import ImageFile

from pix2pix_jax.data.images.decoded_image import DecodedImage
from pix2pix_jax.data.images.image_files import (
    ORIENTATION,
    UPRIGHT,
    explain_decode_errors,
    turn_upright,
)
from pix2pix_jax.data.images.pixels import WHITE
from pix2pix_jax.data.images.png_chunks import drop_texts
from pix2pix_jax.errors import UsageError

WHITE_16 = WHITE[np.dtype(np.uint16)]
# This module raises UsageError for errors of OpenCV, so OpenCV must not print them, too. The log
# level applies to the whole process, so it is set once, before any image is decoded.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def read_deep_png(header: ImageFile, data: bytes, name: str) -> DecodedImage:
    """Reads a PNG file of 16 bits a channel, upright.

    Raises:
      UsageError: the file is incomplete, or OpenCV cannot read its 16 bits.
    """
    with explain_decode_errors(data, name):
        header.load()
        orientation = header.getexif().get(ORIENTATION, UPRIGHT)
        if header.mode.startswith("I;16"):
            pixels = np.asarray(header)[..., None].astype(np.uint16)  # [h, w, 1]
        else:
            pixels = cv2.imdecode(np.frombuffer(drop_texts(data), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise UsageError(
            f"{name}: cannot be read with 16 bits a channel",
            "save the image again as a 16-bit PNG",
        )
    level = header.info.get("transparency")
    if pixels.shape[-1] == 1 and isinstance(level, int):  # One level of grey is transparent.
        alpha = np.where(pixels == level, 0, WHITE_16).astype(np.uint16)
        pixels = np.concatenate([pixels, alpha], -1)  # [h, w, 2]
    pixels = turn_upright(swap_red_blue(pixels), orientation)
    profile = header.info.get("icc_profile")
    return DecodedImage(pixels, has_alpha=pixels.shape[-1] in (2, 4), profile=profile)


def read_deep_ppm(header: ImageFile, data: bytes, name: str) -> DecodedImage:
    """Reads a PPM or PGM file of more than 8 bits a channel; its largest value becomes 65535.

    Raises:
      UsageError: the file is incomplete.
    """
    with explain_decode_errors(data, name):
        if header.mode == "I":  # Pillow has already scaled the values of a grey image to 65535.
            return DecodedImage(np.asarray(header)[..., None].astype(np.uint16))
        tile: Any = header.tile[0]
        _, largest = tile.args
        count = header.width * header.height * 3
        values = np.frombuffer(data, ">u2", count, tile.offset)
    # Larger values are not allowed. Scaled, they would overflow to dark values.
    values = np.minimum(values, largest)
    pixels = np.round(values.astype(np.float64) * (WHITE_16 / largest)).astype(np.uint16)
    return DecodedImage(pixels.reshape(header.height, header.width, 3))


def is_deep_ppm(header: ImageFile) -> bool:
    """Whether an image is a PPM or PGM file of more than 8 bits a channel."""
    if header.format != "PPM":
        return False
    tile: Any = header.tile[0]
    is_colour = header.mode == "RGB" and tile.codec_name == "ppm" and tile.args[1] > 255
    return header.mode == "I" or is_colour


def encode_deep_png(pixels: np.ndarray) -> bytes:
    """Encodes an image [h, w, c], uint16, as the bytes of a PNG; c is 1, 3 or 4."""
    return cv2.imencode(".png", swap_red_blue(pixels))[1].tobytes()


def swap_red_blue(pixels: np.ndarray) -> np.ndarray:
    """Swaps red and blue in [h, w, c], because OpenCV stores blue first."""
    return pixels if pixels.shape[-1] < 3 else pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]]
