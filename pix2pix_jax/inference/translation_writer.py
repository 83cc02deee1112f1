"""TranslationWriter writes translations, the page and the summary."""

import sys
from pathlib import Path

from pix2pix_jax.data.contents.facts import Note, add_notes
from pix2pix_jax.data.contents.lines import describe_note
from pix2pix_jax.inference.batching import TranslatedImage
from pix2pix_jax.inference.outputs import OutputFolder
from pix2pix_jax.reports.translation import (
    MAX_PICTURES,
    PAGE,
    Figure,
    TranslationPage,
    make_figure,
    write_translation_page,
)
from pix2pix_jax.runtime.console import format_speed, plural, say, some_of


class TranslationWriter:
    """Writes translations, and collects figures, notes and failures for the page and the summary.

    Attributes:
      failures: an error line for every file that could not be translated.
    """

    def __init__(self, folder: OutputFolder, title: str, total: int):
        """Starts all counts at zero."""
        self.failures: list[str] = []
        self._folder = folder
        self._title = title
        self._total = total
        self._num_translated = 0
        self._notes: dict[str, Note] = {}
        self._figures: dict[str, Figure] = {}  # figures of the first images, by name

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
        say(reason, sys.stderr)

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
        """Prints the notes about inputs, the number and speed of translations, and the failures."""
        count = self._num_translated
        for note in self._notes.values():
            say(describe_note(note, self._total))
        if count:
            speed = format_speed(count / seconds, "image")
            say(
                f"{plural(count, 'image')} in {seconds:.1f} s, {speed} including compilation; "
                f"{self._folder.path / PAGE} shows inputs and translations"
            )
        if self.failures:
            files = some_of(len(self.failures), self._total, "file")
            say(f"{files} could not be translated; see the lines above", sys.stderr)
