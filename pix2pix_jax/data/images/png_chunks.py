"""Removes text chunks from PNG files, and adds chunks that describe colours and bands."""

import struct
import zlib
from collections.abc import Iterator

from pix2pix_jax.data.images.signatures import PNG_START

HEADER_END = 33  # the signature has 8 bytes, and the first chunk, IHDR, has 25 bytes
PERCEPTUAL = b"\0"  # the rendering intent for photos
# The colours of sRGB as other chunks state them. In cICP, the codes for BT.709 and for unknown
# colours count as sRGB, because programs for video write them into frames.
SRGB_PRIMARIES, SRGB_TRANSFERS = (1, 2), (1, 2, 6, 13, 14, 15)
SRGB_CHROMATICITIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
SRGB_GAMMA = 0.45455
CHROMATICITY_TOLERANCE, GAMMA_TOLERANCE = 0.01, 0.03
COLOUR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"cHRM", b"gAMA")
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
# The text chunk of a PNG record whose fourth band is not transparency. A PNG file cannot say this
# in another way, because its fourth band is always alpha.
NOT_ALPHA_TEXT = b"pix2pix_jax: the fourth band is not alpha"
# The text chunks that are kept, by the beginning of their keyword. Programs write the EXIF
# orientation into these chunks.
KEPT_TEXTS = (b"XML:com.adobe.xmp\0", b"Raw profile type ", NOT_ALPHA_TEXT)


def drop_texts(data: bytes) -> bytes:
    """Removes the text chunks that decoders do not need from a PNG file.

    Programs for generated images write megabytes of settings into text chunks, and Pillow refuses
    to open a file with so much text.

    Returns:
      The bytes without these chunks; `data` itself if there is nothing to remove.
    """
    if not data.startswith(PNG_START):
        return data
    kept, start, is_changed = [data[:8]], 8, False
    for kind, begin, end in _iterate_chunks(data):
        body = data[begin + 8 : begin + 8 + 80]
        if kind in TEXT_CHUNKS and not body.startswith(KEPT_TEXTS):
            is_changed = True
        else:
            kept.append(data[begin:end])
        start = end
    return b"".join([*kept, data[start:]]) if is_changed else data


def _iterate_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields the kind, the first byte and the end of each whole chunk of a PNG file."""
    start = 8
    while start + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 12 + length
        if end > len(data):
            return
        yield kind, start, end
        start = end


def describe_colours(data: bytes) -> str | None:
    """The colours of a PNG file whose chunks, without a profile, say that they are not sRGB.

    Returns:
      For example "gamma 1 in gAMA", with the chunk as the last word; None for sRGB or an unknown
      space.
    """
    if not data.startswith(PNG_START):
        return None
    chunks = {
        kind: data[begin + 8 : end - 4]
        for kind, begin, end in _iterate_chunks(data)
        if kind in COLOUR_CHUNKS
    }
    if len(code := chunks.get(b"cICP", b"")) == 4:
        primaries, transfer = code[:2]
        is_srgb = primaries in SRGB_PRIMARIES and transfer in SRGB_TRANSFERS
        return None if is_srgb else f"primaries {primaries} and transfer {transfer} in cICP"
    if b"iCCP" in chunks or b"sRGB" in chunks:
        return None
    if len(points := chunks.get(b"cHRM", b"")) == 32:
        found = [value / 100_000 for value in struct.unpack(">8I", points)]
        pairs = zip(found, SRGB_CHROMATICITIES, strict=True)
        if max(abs(value - wanted) for value, wanted in pairs) > CHROMATICITY_TOLERANCE:
            return "other primaries in cHRM"
    if len(stored := chunks.get(b"gAMA", b"")) == 4:
        gamma = int.from_bytes(stored, "big") / 100_000
        if abs(gamma - SRGB_GAMMA) > GAMMA_TOLERANCE:
            return f"gamma {gamma:g} in gAMA"
    return None


def mark_no_alpha(data: bytes) -> bytes:
    """Adds the text NOT_ALPHA_TEXT to the bytes of a PNG file."""
    return add_chunk(data, b"tEXt", NOT_ALPHA_TEXT + b"\0")


def mark_srgb(data: bytes) -> bytes:
    """Adds an sRGB chunk, with the rendering intent for photos, to the bytes of a PNG file."""
    return add_chunk(data, b"sRGB", PERCEPTUAL)


def add_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """Adds a chunk to the bytes of a PNG file, after the header."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    chunk = struct.pack(">I", len(content)) + kind + content + checksum
    return data[:HEADER_END] + chunk + data[HEADER_END:]


def is_marked_no_alpha(data: bytes) -> bool:
    """Whether the bytes of a PNG file have the text NOT_ALPHA_TEXT."""
    return data.startswith(PNG_START) and data.startswith(NOT_ALPHA_TEXT, HEADER_END + 8)
