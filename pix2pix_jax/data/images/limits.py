"""The largest number of pixels that an image may have."""

from dataclasses import dataclass

from pix2pix_jax.errors import UsageError

# The largest number of pixels of an image, if the user gives no other. The header of a small file
# can claim far more pixels than fit into memory.
MAX_PIXELS = 10**8


@dataclass(frozen=True)
class PixelLimit:
    """The largest number of pixels of an image, and what the user can do about a larger image."""

    pixels: int = MAX_PIXELS
    fix: str = "scale the image down or remove it"

    def check(self, width: int, height: int, name: str) -> None:
        """Raises UsageError if an image has more pixels than the limit, or no pixels."""
        if width < 1 or height < 1:
            raise UsageError(f"{name}: has {width}x{height} pixels", "repair or remove the file")
        if width * height > self.pixels:
            raise UsageError(
                f"{name}: has {width}x{height} pixels, but an image may have at most "
                f"{self.pixels:,}",
                self.fix,
            )


DEFAULT_LIMIT = PixelLimit()
