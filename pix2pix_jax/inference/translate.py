"""The translate command: writes a PNG or .npy file of the same size for each image."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.inference.batching import ImageTranslator
from pix2pix_jax.inference.half_cutter import HalfCutter
from pix2pix_jax.inference.inputs import (
    InputFile,
    LoadedImage,
    UnreadableImage,
    find_inputs,
    load_input,
)
from pix2pix_jax.inference.options import TranslateOptions, check_options, tile_flag
from pix2pix_jax.inference.outputs import OutputFolder
from pix2pix_jax.inference.size_check import SizeCheck
from pix2pix_jax.inference.targets import InputSide
from pix2pix_jax.inference.translation_writer import TranslationWriter
from pix2pix_jax.inference.translator import open_translator
from pix2pix_jax.runs.checks import resolve_run_config
from pix2pix_jax.runs.pairs import run_contents
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import plural, progress_bar, say, some_of

READ_AHEAD = 2  # images that are read while another image is translated

Item = TypeVar("Item")
Result = TypeVar("Result")


def translate_files(
    config: Config, workdir: Workdir, source: str, output: Path, options: TranslateOptions
) -> int:
    """Translates a file, a folder with all its subfolders, or the files that match a pattern.

    Args:
      source: a file, a folder, or a pattern as in a shell.
      output: the folder to write to, with the same subfolders as `source`.

    Returns:
      The exit status: 2 if a file could not be translated, else 0.

    Raises:
      UsageError: there are no images, the options do not fit the run, the run has no such
        checkpoint, an image is too large for the memory, or the output folder cannot be written.
    """
    config = resolve_run_config(workdir, config)
    check_options(config, options)
    translator = open_translator(config, workdir, options)
    contents = run_contents(workdir, config.data)
    cutter = HalfCutter(config.data, contents, options.half)
    form = contents.form if contents else config.data.form
    input_side = InputSide(cutter.input_side, has_folder=form == "folders")
    # With data.form=halves, folders A and B have no meaning.
    input_side = None if config.data.form == "halves" else input_side
    found = find_inputs(source, output, options.samples, input_side)
    files = found[: options.max_images]
    count = some_of_images(len(files), len(found))
    say(f"{workdir}: translating {count} to {output} with step {translator.step}")
    title = f"{workdir.name} at step {translator.step}"
    start = time.perf_counter()
    with OutputFolder(output) as folder:
        warn_size = None if options.tile or options.resize else config.data.image_size
        size_check = SizeCheck(warn_size, cutter.file_size, tile_flag(config))
        writer = TranslationWriter(folder, title, len(files))
        try:
            images = ImageTranslator(translator, config, options)
            read = partial(
                load_input, channels=config.data.input_channels, limit=options.pixel_limit(config)
            )
            translate_inputs(files, read, images, cutter, size_check, writer)
        except BaseException:
            with suppress(OSError, UsageError):  # The first error is reported instead.
                writer.write_page()
            raise
        writer.write_page()
    size_check.print_summary(len(files))
    writer.print_summary(time.perf_counter() - start)
    cutter.print_summary(len(files))
    return 2 if writer.failures else 0


def some_of_images(count: int, total: int) -> str:
    """The number of images to translate, such as "3 images" or "3 of 10 images"."""
    return plural(count, "image") if count == total else some_of(count, total, "image")


def translate_inputs(
    files: list[InputFile],
    read: Callable[[InputFile], LoadedImage | UnreadableImage],
    translator: ImageTranslator,
    cutter: HalfCutter,
    size_check: SizeCheck,
    writer: TranslationWriter,
) -> None:
    """Reads, translates and writes images.

    Raises:
      UsageError: no more files can be written, or an image is too large for the memory.
    """
    with (
        ThreadPoolExecutor() as pool,
        progress_bar(total=len(files), unit="image") as bar,
    ):
        images = size_check.check_all(cutter.cut_all(map_ahead(pool, read, files)))
        for image in translator.translate_all(images):
            bar.update()
            if isinstance(image, UnreadableImage):
                writer.add_failure(image.reason)
            else:
                writer.add(image)


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
