"""The translate command: writes a PNG or .npy file of the same size for each image."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.images.note_counts import NoteCounts
from pix2pix_jax.errors import UsageError
from pix2pix_jax.inference.batching import ImageTranslator, TranslatedImage
from pix2pix_jax.inference.half_cutter import HalfCutter
from pix2pix_jax.inference.inputs import (
    InputFile,
    LoadedImage,
    UnreadableImage,
    find_inputs,
    read_image,
)
from pix2pix_jax.inference.options import TranslateOptions, check_options
from pix2pix_jax.inference.outputs import OutputFolder
from pix2pix_jax.inference.translator import open_translator
from pix2pix_jax.reports.translation import (
    MAX_PICTURES,
    PAGE,
    Figure,
    TranslationPage,
    make_figure,
    write_translation_page,
)
from pix2pix_jax.runs.checks import resolve_run_config
from pix2pix_jax.runs.pairs import run_contents
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import plural, print_above_bar, progress_bar, say

READ_AHEAD = 2  # images that are read while another image is translated

Item = TypeVar("Item")
Result = TypeVar("Result")


def translate_files(
    config: Config, workdir: Workdir, source: str, output: Path, options: TranslateOptions
) -> int:
    """Translates a file, a folder with all its subfolders, or the files that match a pattern.

    Args:
      config: the config of the run.
      workdir: the workdir of the run.
      source: a file, a folder, or a pattern as in a shell.
      output: the folder to write to; it gets the subfolders of `source`.
      options: how to translate.

    Returns:
      The exit status: 2 if a file could not be translated, else 0.

    Raises:
      UsageError: there are no images, the options do not fit the run, the run has no such
        checkpoint, an image is too large for the memory, or the output folder cannot be written.
    """
    config = resolve_run_config(workdir, config)
    check_options(config, options)
    translator = open_translator(config, workdir, options.step, options.seed, options.use_dropout)
    cutter = HalfCutter(config.data, run_contents(workdir, config.data), options.half)
    files = find_inputs(source, output, options.samples, cutter.input_side)
    count = plural(len(files), "image")
    say(f"{workdir}: translating {count} to {output} with step {translator.step}")
    title = f"{workdir.name} at step {translator.step}"
    start = time.perf_counter()
    with OutputFolder(output) as folder:
        warn_size = None if options.tile or options.resize else config.data.image_size
        progress = TranslationProgress(folder, title, len(files), warn_size)
        try:
            images = ImageTranslator(translator, config, options)
            translate_inputs(files, images, cutter, config, progress)
        except BaseException:
            with suppress(OSError, UsageError):  # The first error is reported instead.
                progress.write_page()
            raise
        progress.write_page()
    progress.print_summary(time.perf_counter() - start)
    if cutter.num_cut > 1 and options.half is None:
        count = f"{cutter.num_cut} of {plural(len(files), 'image')}"
        say(
            f"{count} showed A and B side by side; only the {cutter.input_half} half was translated"
        )
    return 2 if progress.failures else 0


class TranslationProgress:
    """Writes translations one by one, and collects what the page and the summary show.

    Attributes:
      failures: an error line for every file that could not be translated.
    """

    def __init__(
        self, folder: OutputFolder, title: str, total: int, training_size: tuple[int, int] | None
    ):
        """Prepares to count images and failures.

        Args:
          folder: the open folder to write to.
          title: title of the page.
          total: number of files to translate.
          training_size: height and width in training; None: images may have any size.
        """
        self.failures: list[str] = []
        self._folder = folder
        self._title = title
        self._total = total
        self._training_size = training_size
        self._num_translated = 0
        self._notes = NoteCounts()
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
                size = image.pixels.values.shape[:2]
                if size != self._training_size:
                    if self._num_other_size == 0:
                        print_size_warning(image.file.path, size, self._training_size)
                    self._num_other_size += 1
            yield image

    def add(self, image: TranslatedImage) -> None:
        """Writes the translations of an image.

        Raises:
          UsageError: no more files can be written, for example because the disk is full.
        """
        values = image.pixels.values  # [h, w, c]
        try:
            self._folder.write(image.file.name, image.pixels, image.samples)
        except OSError as error:
            self.add_failure(
                f"{error.filename}: cannot be written ({error.strerror}); rename the image, or "
                "give another --output"
            )
            return
        self._num_translated += 1
        self._notes.add(str(image.file.path), image.pixels.notes)
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
        for line in self._notes.lines(self._total):
            say(line)
        if count:
            say(
                f"{plural(count, 'image')} in {seconds:.1f} s, {count / seconds:.2f} images/s "
                f"including compilation; {self._folder.path / PAGE} shows inputs and translations"
            )
        if self.failures:
            files = f"{len(self.failures)} of {plural(self._total, 'file')}"
            print_above_bar(f"{files} could not be translated; see the lines above", sys.stderr)


def translate_inputs(
    files: list[InputFile],
    translator: ImageTranslator,
    cutter: HalfCutter,
    config: Config,
    progress: TranslationProgress,
) -> None:
    """Reads, translates and writes images.

    Args:
      files: the images.
      translator: translates images.
      cutter: cuts side-by-side pairs to the input's half.
      config: the config of the run.
      progress: writes translations.

    Raises:
      UsageError: no more files can be written, or an image is too large for the memory.
    """
    with (
        ThreadPoolExecutor() as pool,
        progress_bar(total=len(files), unit="image") as bar,
    ):
        read = partial(read_image, channels=config.data.input_channels)
        images = progress.check_sizes(cutter.cut_all(map_ahead(pool, read, files)))
        for image in translator.translate_all(images):
            bar.update()
            if isinstance(image, UnreadableImage):
                progress.add_failure(image.reason)
            else:
                progress.add(image)


def map_ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Yields results in the order of the items; threads compute READ_AHEAD results in advance."""
    futures: deque[Future[Result]] = deque()
    for item in items:
        futures.append(pool.submit(function, item))
        if len(futures) > READ_AHEAD:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()


def print_size_warning(path: Path, size: tuple[int, int], training_size: tuple[int, int]) -> None:
    """Prints a warning that an image has another size than in training.

    Args:
      path: the image.
      size: height and width of the image.
      training_size: height and width in training.
    """
    found, trained = (f"{height}x{width}" for height, width in (size, training_size))
    print_above_bar(
        f"WARNING: {path} has {found} pixels (height x width), but the generator was trained with "
        f"{trained}; if the results are poor, give --resize, or --tile={min(training_size)} to "
        "translate tiles",
        sys.stdout,
    )
