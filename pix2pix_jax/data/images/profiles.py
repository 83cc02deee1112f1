"""Converts the colours of an image file to sRGB, as its ICC colour profile describes them."""

import io
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageCms

from pix2pix_jax.data.images.decoded_image import DecodedImage
from pix2pix_jax.data.images.limits import MAX_PIXELS

# Every program writes its own profile for sRGB. A profile counts as sRGB if it changes no colour by
# more than this number of levels out of 255. Then the pixels are not converted.
SRGB_TOLERANCE = 4
GRID_STEP = 51  # the levels of the colours that are compared: 0, 51, 102, 153, 204 and 255
ADOBE_RGB = "R03"  # a value of EXIF
# The colour space of an ICC profile, by Pillow's mode.
PROFILE_COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


class _Profile(NamedTuple):
    """A colour profile that was opened for the images of one mode."""

    name: str  # the name by which photo programs show the profile
    to_srgb: ImageCms.ImageCmsTransform
    is_srgb: bool  # whether the colours are those of sRGB already


def convert_to_srgb(image: DecodedImage) -> DecodedImage:
    """Converts the colours of an image to sRGB, and adds a note with the name of the profile.

    Images of 16 bits stay as they are, because Pillow converts only 8 bits. Grey images stay as
    they are, because their levels may be the numbers of classes. Large images stay in their files.
    In these cases, the note says that the profile is not applied.
    """
    if image.profile is None:
        return image
    is_grey = image.pixels.shape[-1] <= 2
    profile = _open_profile(image.profile, "L" if is_grey else "RGB")
    if profile is None:  # A profile of colours in a grey image is common and does no harm.
        damaged = (
            "the colour profile is not applied, because it is damaged or is for another colour "
            "space than RGB"
        )
        return image if is_grey else _with_note(image, "damaged profile", damaged)
    if profile.is_srgb:
        return image
    if kind := _kind_without_conversion(image):
        note = f'the colour profile "{profile.name}" is not applied to {kind}'
        return _with_note(image, "profile", note)
    rgb = Image.fromarray(np.ascontiguousarray(image.pixels[..., :3]))
    converted = np.asarray(ImageCms.applyTransform(rgb, profile.to_srgb))
    pixels = np.concatenate([converted, image.pixels[..., 3:]], -1)  # [h, w, c]
    converted_image = replace(image, pixels=pixels, keeps_bytes=False, profile=None)
    note = f'"{profile.name}" colours are converted to sRGB'
    return _with_note(converted_image, "sRGB", note)


def _kind_without_conversion(image: DecodedImage) -> str | None:
    """The kind of images whose colours are not converted; None if the colours are converted."""
    if image.pixels.shape[-1] <= 2:
        return "grey images"
    if image.pixels.dtype == np.uint16:
        return "images of 16 bits a channel"
    if isinstance(image.pixels, np.memmap):
        return f"TIFF files of more than {MAX_PIXELS:,} pixels"
    return None


def convert_cmyk(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """Converts a CMYK image to RGB with its profile; None without a profile for CMYK."""
    opened = _open_profile(profile, "CMYK") if profile else None
    return opened and ImageCms.applyTransform(image, opened.to_srgb)


def is_adobe_rgb_in_exif(image: Image.Image) -> bool:
    """Whether the EXIF data of a photo say that its colours are Adobe RGB."""
    try:
        interoperability = image.getexif().get_ifd(ExifTags.IFD.Interop)
        return interoperability.get(ExifTags.Interop.InteropIndex) == ADOBE_RGB
    except Exception:  # Pillow raises many kinds of exceptions for damaged EXIF data.
        return False


def _with_note(image: DecodedImage, key: str, note: str) -> DecodedImage:
    return replace(image, notes=image.notes | {key: note})


@lru_cache(maxsize=16)
def _open_profile(profile: bytes, mode: str) -> _Profile | None:
    """Opens an ICC profile; None if it is damaged or for another colour space."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        description: Any = opened.profile
        if description.xcolor_space.strip() != PROFILE_COLOURS[mode]:
            return None
        to_srgb = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        name = ImageCms.getProfileDescription(opened).strip()
    except (OSError, ValueError, ImageCms.PyCMSError):  # Pillow cannot use the profile.
        return None
    return _Profile(name, to_srgb, mode != "CMYK" and _keeps_colours(to_srgb, mode))


def _keeps_colours(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform changes no colour by more than SRGB_TOLERANCE levels."""
    levels = np.arange(0, 256, GRID_STEP, dtype=np.uint8)
    if mode == "L":
        colours = levels[None]  # [1, n]
        wanted = np.repeat(colours[..., None], 3, -1)  # [1, n, 3]
    else:
        colours = wanted = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(6, 36, 3)
    found = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return bool(np.abs(found.astype(int) - wanted).max() <= SRGB_TOLERANCE)
