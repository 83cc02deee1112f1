"""The translation command: images in, PNGs of the same stem and the same size out."""

import errno
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.arrays import Pixels, encode, read_pixels
from pix2pix_jax.data.image_files import MODES
from pix2pix_jax.data.sources import check_name
from pix2pix_jax.errors import UsageError
from pix2pix_jax.inference.inputs import Job, find_jobs, noted
from pix2pix_jax.inference.tiling import pad_centered, resize_array, round_up, translate_tiles
from pix2pix_jax.inference.translator import BATCH_SIZE, Translator, open_translator
from pix2pix_jax.reports.translation import PAGE, SHOWN, figure, write_page
from pix2pix_jax.runs.compatibility import check_run
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import plural, print_above_bar, say
from pix2pix_jax.runtime.files import atomic_file
from pix2pix_jax.runtime.memory import explain_out_of_memory

BATCH_PIXELS, WAITING_PIXELS = 2**21, 2**24
# What befalls one output, and would befall all others.
FOR_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)
Read = tuple[Job, Pixels | UsageError]  # a file, and what is in it or what is wrong with it


class TranslateOptions(NamedTuple):
    """All of a translation but what and where."""

    step: int | Literal["best", "newest"] = "newest"  # of the checkpoint
    seed: int | None = None  # of the dropout; None: that of the run
    samples: int = 1  # of every image, each with a dropout of its own
    tile: int | None = None  # side of the tiles to cut images into; None: they stay whole
    resize: bool = False  # images to the size of training, and their outputs back
    noisy: bool = True  # whether there is dropout


@dataclass
class Outcome:
    """What has become of the images so far."""

    done: int = 0
    others: int = 0  # of them, of another size than in training
    figures: dict[str, str] = field(default_factory=dict)  # of the first, by name
    failures: list[str] = field(default_factory=list)


def translate_files(
    config: Config, workdir: Workdir, source: str, output: Path, how: TranslateOptions
) -> int:
    """Translates a file, a folder with all below it, or what a pattern matches.

    Args:
      config: of the run.
      workdir: of the run.
      source: what to translate.
      output: the folder to write to, in the tree of `source`.
      how: the rest.

    Returns:
      The exit status: 2 where some file could not be translated.

    Raises:
      UsageError: nothing to translate, nowhere to write, or no such run or checkpoint.
    """
    config = resolve(config)
    check_run(workdir, config)
    check_options(config, how)
    step, run = open_translator(config, workdir, how.step, how.seed, how.noisy)
    jobs = find_jobs(source, output, how.samples)
    say(f"{workdir}: step {step}; {plural(len(jobs), 'image')} to {output}")
    outcome, start = Outcome(), time.perf_counter()
    with noted(output) as note:

        def show() -> None:
            if outcome.done:
                note(PAGE)
                shown = [html for _, html in sorted(outcome.figures.items())]
                title = f"{workdir.name} at step {step}"
                write_page(output, title, shown, outcome.done, len(jobs), outcome.failures)

        try:
            translate_all(config, run, jobs, output, how, outcome, note)
        except BaseException:
            with suppress(OSError, UsageError):  # what has stopped it is what is to be told
                show()
            raise
        show()
    seconds = time.perf_counter() - start
    if outcome.done:
        say(
            f"{plural(outcome.done, 'image')} in {seconds:.1f} s, {outcome.done / seconds:.2f} "
            f"images/s with compiling; before and after are shown in {output / PAGE}"
        )
    if outcome.others and not (how.tile or how.resize):
        say_size(outcome.others, config.data.image_size)
    if outcome.failures:
        of = f"{len(outcome.failures)} of {plural(len(jobs), 'file')}"
        print_above_bar(f"{of} could not be translated, as told above", sys.stderr)
    return 2 if outcome.failures else 0


def check_options(config: Config, how: TranslateOptions) -> None:
    """Raises UsageError where a run cannot do what is asked of it."""
    multiple = 2**config.model.depth
    if how.tile and how.tile % multiple:
        raise UsageError(
            f"--tile: {how.tile} is no multiple of {multiple}; give {round_up(how.tile, multiple)}"
        )
    if how.tile and how.resize:
        raise UsageError("--tile, --resize: give one of them, since either is for large images")
    if how.samples > 1 and not (how.noisy and config.model.dropout):
        raise UsageError("--samples: without dropout they are all alike; give 1")


def say_size(count: int, size: tuple[int, int]) -> None:
    """Says that images were seen at another size than in training."""
    height, width = size
    say(
        f"{plural(count, 'image')} of another size than {height}x{width} (height x width), which "
        f"the network knows best from training: try --resize, or --tile={min(size)} for parts"
    )


def translate_all(
    config: Config,
    run: Translator,
    jobs: list[Job],
    output: Path,
    how: TranslateOptions,
    outcome: Outcome,
    note: Callable[[str], None],
) -> None:
    """Reads, translates and writes, and keeps account of it in `outcome`.

    Args:
      config: of the run.
      run: translates batches.
      jobs: what to do.
      output: the folder to write to.
      how: as for `translate_files`.
      outcome: grows.
      note: takes the names of files before they are written.

    Raises:
      UsageError: an output cannot be written, or an image is too large for the memory.
    """
    with (
        ThreadPoolExecutor() as pool,
        tqdm(total=len(jobs), unit="image", disable=not sys.stderr.isatty()) as bar,
    ):
        read = map_ahead(pool, lambda job: _read(job, config.data.input_channels), jobs)

        def fail(reason: str) -> None:
            outcome.failures.append(reason)
            print_above_bar(reason, sys.stderr)

        for job, pixels, outputs in translate_groups(read, run, config, how):
            bar.update()
            if isinstance(pixels, UsageError):
                fail(str(pixels))
                continue
            try:
                write_outputs(output, job.name, pixels, outputs, note)
            except OSError as error:
                reason = f"{error.filename}: cannot be written ({error.strerror})"
                if error.errno in FOR_ALL:
                    raise UsageError(f"{reason}; mend that, and give the command again") from error
                fail(reason)
                continue
            outcome.done += 1
            outcome.others += pixels.values.shape[:2] != config.data.image_size
            for surprise in pixels.notes:
                print_above_bar(f"{job.path}: {surprise}", sys.stdout)
            if len(outcome.figures) * (how.samples + 1) < SHOWN:
                outcome.figures[job.name] = figure(job.name, [pixels.values, *outputs])


def translate_groups(
    read: Iterable[Read], run: Translator, config: Config, how: TranslateOptions
) -> Iterator[tuple[Job, Pixels | UsageError, list[np.ndarray]]]:
    """Yields every job with what was read and its outputs [h, w, c], those of one shape together.

    Args:
      read: jobs, with their pixels or what is wrong with them.
      run: translates batches.
      config: of the run.
      how: as for `translate_files`.
    """
    waiting: dict[tuple[int, int], list[tuple[Job, Pixels]]] = {}
    multiple, numbers = 2**config.model.depth, range(how.samples)
    size = config.data.image_size if how.resize else None

    def together(shape: tuple[int, int]) -> Iterator:
        jobs = waiting.pop(shape)
        whole = [resize_array(p.values, *size) if size else p.values for _, p in jobs]
        images, places = zip(*(pad_centered(image, *shape) for image in whole), strict=True)
        with explain_out_of_memory(
            f"{jobs[0][0].path}: give --tile={max(multiple, 256)}; it is too large"
        ):
            batches = [run(np.stack(images), number) for number in numbers]
        for n, (job, pixels) in enumerate(jobs):
            outputs = [batch[n][places[n]] for batch in batches]
            if size:
                outputs = [resize_array(output, *pixels.values.shape[:2]) for output in outputs]
            yield job, pixels, outputs

    for job, pixels in read:
        if isinstance(pixels, UsageError):
            yield job, pixels, []
        elif how.tile:
            image, tile = pixels.values, how.tile
            with explain_out_of_memory(f"--tile, {job.path}: {tile} or the image is too large"):
                outputs = [translate_tiles(lambda x, n=n: run(x, n), image, tile) for n in numbers]
            yield job, pixels, outputs
        else:
            height, width = size or pixels.values.shape[:2]
            shape = round_up(height, multiple), round_up(width, multiple)
            waiting.setdefault(shape, []).append((job, pixels))
            # As many as fill a batch or, of large ones, as there is room for.
            if len(waiting[shape]) >= min(BATCH_SIZE, max(1, BATCH_PIXELS // math.prod(shape))):
                yield from together(shape)
            while sum(math.prod(s) * len(jobs) for s, jobs in waiting.items()) > WAITING_PIXELS:
                yield from together(next(iter(waiting)))
    for shape in list(waiting):
        yield from together(shape)


def map_ahead(pool: ThreadPoolExecutor, function: Callable, items: list) -> Iterator:
    """Results in order, made by threads a little before they are asked for."""
    futures: deque = deque()
    for item in items:
        futures.append(pool.submit(function, item))
        if len(futures) > 2:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()


def _read(job: Job, channels: int) -> Read:
    try:
        check_name(Path(job.name), str(job.path))
        return job, read_pixels(job.path, channels)
    except UsageError as error:
        return job, error
    except OSError as error:
        return job, UsageError(f"{job.path}: {error.strerror or error}; mend or remove it")
    except MemoryError:
        return job, UsageError(f"{job.path}: is too large for the memory of this machine")


def write_outputs(
    folder: Path,
    name: str,
    pixels: Pixels,
    outputs: list[np.ndarray],
    note: Callable[[str], None],
) -> None:
    """Writes outputs as NAME.png, or NAME_sample1.png and so on; those of arrays as .npy, too.

    Raises:
      OSError: with the name of the file that cannot be written.
    """
    for number, values in enumerate(outputs, 1):
        stem = name if len(outputs) == 1 else f"{name}_sample{number}"
        suffixes = [".png"] if values.shape[-1] in MODES else []
        if pixels.array or not suffixes:
            suffixes.append(".npy")
        for suffix in suffixes:
            note(stem + suffix)
            path = folder / (stem + suffix)
            try:
                with atomic_file(path) as new:
                    new.write_bytes(encode(values, pixels.dtype, suffix))
            except OSError as error:
                error.filename = str(path)
                raise
