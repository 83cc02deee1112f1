"""Writes translations one by one, and collects what the page and the summary show."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pix2pix_jax.data.contents import Note, add_notes, have_same_proportions
from pix2pix_jax.data.contents_lines import describe_note
from pix2pix_jax.inference.batching import TranslatedImage
from pix2pix_jax.inference.inputs import LoadedImage, UnreadableImage
from pix2pix_jax.inference.outputs import OutputFolder
from pix2pix_jax.reports.translation import (
    MAX_PICTURES,
    PAGE,
    Figure,
    TranslationPage,
    make_figure,
    write_translation_page,
)
from pix2pix_jax.runtime.console import plural, print_above_bar, say, some_of

Size = tuple[int, int]  # height and width in pixels


class TranslationProgress:
    """Writes translations one by one, and collects what the page and the summary show.

    Attributes:
      failures: an error line for every file that could not be translated.
    """

    def __init__(
        self,
        folder: OutputFolder,
        title: str,
        total: int,
        training_size: Size | None,
        file_size: Size | None,
        tile_flag: str,
    ):
        """Prepares to count images and failures.

        Args:
          folder: the open folder to write to.
          title: title of the page.
          total: number of files to translate.
          training_size: height and width in training; None: images may have any size.
          file_size: height and width that most inputs had before they were resized for training;
            None: not known.
          tile_flag: the flag that cuts images into tiles of the size of training.
        """
        self.failures: list[str] = []
        self._folder = folder
        self._title = title
        self._total = total
        self._training_size = training_size
        self._file_size = file_size
        self._tile_flag = tile_flag
        self._num_translated = 0
        self._notes: dict[str, Note] = {}
        self._num_other_size = 0  # images of another size than in training
        self._figures: dict[str, Figure] = {}  # figures of the first images, by name

    def check_sizes(
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
                        print_above_bar(f"WARNING: {image.file.path} {warning}", sys.stdout)
                    self._num_other_size += 1
            yield image

    def add(self, image: TranslatedImage) -> None:
        """Writes the translations of an image.

        Raises:
          UsageError: no more files can be written, for example because the disk is full.
        """
        values = image.input.values  # [h, w, c]
        try:
            self._folder.write(image.file.name, image.input, image.samples)
        except OSError as error:
            self.add_failure(
                f"{error.filename}: cannot be written ({error.strerror}); rename the image, or "
                "give another --output"
            )
            return
        self._num_translated += 1
        name = Path(image.file.name).parent / image.file.path.name
        add_notes(self._notes, str(name), image.input.notes)
        if len(self._figures) * (len(image.samples) + 1) < MAX_PICTURES:
            self._figures[image.file.name] = make_figure(image.file.name, [values, *image.samples])

    def add_failure(self, reason: str) -> None:
        """Prints the reason why a file could not be translated, and keeps it for the page."""
        self.failures.append(reason)
        print_above_bar(reason, sys.stderr)

    def write_page(self) -> None:
        """Writes the page of images before and after, if any image was translated."""
        if not self._num_translated:
            return
        self._folder.add_to_manifest(PAGE)
        figures = [figure for _, figure in sorted(self._figures.items())]
        page = TranslationPage(
            self._title, figures, self._num_translated, self._total, self.failures
        )
        write_translation_page(self._folder.path, page)

    def print_summary(self, seconds: float) -> None:
        """Prints what may surprise, the number of translations, their speed, and the failures."""
        count = self._num_translated
        if self._num_other_size > 1:
            say(
                f"WARNING: {self._num_other_size} of {plural(self._total, 'image')} had another "
                "size than in training; see the first WARNING above"
            )
        for note in self._notes.values():
            say(describe_note(note, self._total))
        if count:
            say(
                f"{plural(count, 'image')} in {seconds:.1f} s, {count / seconds:.2f} images/s "
                f"including compilation; {self._folder.path / PAGE} shows inputs and translations"
            )
        if self.failures:
            files = some_of(len(self.failures), self._total, "file")
            print_above_bar(f"{files} could not be translated; see the lines above", sys.stderr)


def describe_size(size: Size, training_size: Size, was_resized: bool, tile_flag: str) -> str:
    """Says that an image has another size than in training, and what to do.

    Args:
      size: height and width of the image.
      training_size: height and width in training.
      was_resized: whether the inputs of the training had the size of the image before they were
        resized.
      tile_flag: the flag that cuts images into tiles of the size of training.
    """
    found, trained = (f"{width}x{height}" for height, width in (size, training_size))
    line = f"has {found} pixels (width x height), but the generator was trained with {trained}"
    if was_resized:
        return f"{line}, to which images of {found} were resized; give --resize to do the same"
    line += f"; if the results are poor, give --resize, or {tile_flag} to translate tiles"
    height, width = size
    if have_same_proportions((height, width // 2), training_size):
        line += "; if it shows A and B side by side, give --half=left or --half=right"
    return line
