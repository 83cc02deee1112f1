"""Warns of images of another size than in training, and says what to do."""

from collections.abc import Iterable, Iterator

from pix2pix_jax.data.images.proportions import have_same_proportions
from pix2pix_jax.inference.inputs import LoadedImage, UnreadableImage
from pix2pix_jax.runtime.console import plural, say

Size = tuple[int, int]  # height and width in pixels


class SizeCheck:
    """Warns of images of another size than in training."""

    def __init__(self, training_size: Size | None, file_size: Size | None, tile_flag: str):
        """Starts the count at zero.

        Args:
          training_size: height and width in training; None: images may have any size.
          file_size: height and width that most inputs had before they were resized for training;
            None: not known.
          tile_flag: the flag that cuts images into tiles of the size of training.
        """
        self._training_size = training_size
        self._file_size = file_size
        self._tile_flag = tile_flag
        self._num_other_size = 0  # images of another size than in training

    def check_all(
        self, images: Iterable[LoadedImage | UnreadableImage]
    ) -> Iterator[LoadedImage | UnreadableImage]:
        """Yields all images unchanged; warns once about an image that is not of the training size.

        The warning comes before the translation, so that the user can stop the command at once.
        """
        for image in images:
            if self._training_size and isinstance(image, LoadedImage):
                size = image.input.values.shape[:2]
                if size != self._training_size:
                    if self._num_other_size == 0:
                        warning = describe_size(
                            size, self._training_size, size == self._file_size, self._tile_flag
                        )
                        say(f"WARNING: {image.file.path} {warning}")
                    self._num_other_size += 1
            yield image

    def print_summary(self, total: int) -> None:
        """Prints how many images of `total` had another size than in training."""
        if self._num_other_size > 1:
            say(
                f"WARNING: {self._num_other_size} of {plural(total, 'image')} had another size "
                "than in training; see the first WARNING above"
            )


def describe_size(size: Size, training_size: Size, was_resized: bool, tile_flag: str) -> str:
    """Says that an image has another size than in training, and what to do.

    Args:
      size: height and width of the image.
      training_size: height and width in training.
      was_resized: whether training resized images of this size.
      tile_flag: the flag that cuts images into tiles of the size of training.
    """
    found, trained = (f"{width}x{height}" for height, width in (size, training_size))
    line = f"has {found} pixels (width x height), but the generator was trained with {trained}"
    if was_resized:
        return f"{line}; in training, images of {found} were resized to {trained}, so give --resize"
    line += f"; if the results are poor, give --resize, or {tile_flag} to translate tiles"
    height, width = size
    if have_same_proportions((height, width // 2), training_size):
        line += "; if the image shows A and B side by side, give --half=left or --half=right"
    return line
