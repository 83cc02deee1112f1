"""Cuts images that show A and B side by side to the half that is the input of a run."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.contents.facts import Contents
from pix2pix_jax.data.examples import sides_by_role
from pix2pix_jax.data.images.large_image import ImageValues
from pix2pix_jax.data.images.pixels import half_columns
from pix2pix_jax.data.images.proportions import HalfProportions
from pix2pix_jax.inference.inputs import LoadedImage, UnreadableImage
from pix2pix_jax.inference.options import Half, HalfChoice
from pix2pix_jax.runtime.console import plural, say


class HalfCutter:
    """Cuts images that show A and B side by side to the half that is the input of a run.

    Attributes:
      input_side: the side, A or B, that is the input of the run.
      input_half: the half of a side-by-side pair that is the input.
      has_side_by_side_pairs: whether the pairs of the run are known to be side by side.
      file_size: height and width of most inputs of the run before resizing; None: not known.
      num_cut: the number of images that were cut.
      unclear: the paths of images that stay whole, although they may be pairs.
    """

    def __init__(self, data: Data, contents: Contents | None, half: HalfChoice | None = None):
        """Starts the counts at zero.

        Args:
          data: the data of the config of the run.
          contents: the facts about the pairs of the run; None if they are not known.
          half: the half to cut out of every image, or "none" for whole images; None: the input's
            half of the images with the proportions of side-by-side pairs.
        """
        self.num_cut, self.unclear = 0, list[Path]()
        self._half: HalfChoice | None = half
        self.input_side = sides_by_role(data)["input"]
        self.input_half: Half = "left" if self.input_side == "A" else "right"
        self.has_side_by_side_pairs = contents is not None and contents.form == "halves"
        sizes = contents.sides[self.input_side].sizes if contents else None
        self.file_size = (sizes.height, sizes.width) if sizes else None
        self._halves = contents.halves if contents else HalfProportions([])

    def find_half(self, height: int, width: int) -> HalfChoice:
        """The half to cut out of an image of this size; "none" if the image stays whole."""
        if width < 2:
            return "none"
        if self._half is not None:
            return self._half
        return self.input_half if self._halves.part_of(width / height) == "pair" else "none"

    def cut(self, values: ImageValues) -> ImageValues:
        """Cuts an image [h, w, c] to its half, if it shows a pair."""
        height, width = values.shape[:2]
        half = self.find_half(height, width)
        self.num_cut += half != "none"
        return values[:, columns_of(half, width)]

    def cut_all(
        self, images: Iterable[LoadedImage | UnreadableImage]
    ) -> Iterator[LoadedImage | UnreadableImage]:
        """Yields all images, and prints a line before the first image that is cut."""
        for image in images:
            if isinstance(image, UnreadableImage):
                yield image
                continue
            num_cut = self.num_cut
            height, width = image.input.values.shape[:2]
            if self._half is None and self._halves.part_of(width / height) == "either":
                self.unclear.append(image.file.path)
            values = self.cut(image.input.values)
            if num_cut == 0 and self.num_cut == 1:
                self._print_first_cut(image)
            yield LoadedImage(image.file, image.input._replace(values=values))

    def print_summary(self, total: int) -> None:
        """Prints how many images of `total` were cut, and how many may be pairs."""
        if self._half is not None:
            return
        images = plural(total, "image")
        if self.num_cut > 1:
            say(f"{self.num_cut} of {images}: only the {self.input_half} half is translated")
        if self.unclear:
            say(
                f"WARNING: {len(self.unclear)} of {images}, first {self.unclear[0]}, may be "
                "whole pairs or single inputs, by their proportions; they were translated whole; "
                f"if they are pairs, give --half={self.input_half}"
            )

    def _print_first_cut(self, image: LoadedImage) -> None:
        if self._half:
            line = f"only the {self._half} half of each image is translated"
        else:
            line = (
                f"{image.file.path}: has the proportions of the run's side-by-side pairs, so only "
                f"its {self.input_half} half is translated; --half=none translates whole images"
            )
        say(line)


def columns_of(half: HalfChoice, width: int) -> slice:
    """The columns of a half of an image that is at least 2 pixels wide; all columns for "none"."""
    if half == "none":
        return slice(0, width)
    left, right = half_columns(width)
    return left if half == "left" else right
