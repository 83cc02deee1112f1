"""The translation command: images in, PNGs of the same stem and the same size out."""

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from pix2pix_jax.before_after import PAGE, SHOWN, figure, write_page
from pix2pix_jax.config import Config, UsageError, resolve
from pix2pix_jax.console import say, tell
from pix2pix_jax.data.images import MODES
from pix2pix_jax.data.pixels import Pixels, encoded, read_pixels
from pix2pix_jax.files import whole
from pix2pix_jax.guards import check_run, memory_errors
from pix2pix_jax.jobs import Job, find_jobs
from pix2pix_jax.page import run_name
from pix2pix_jax.tiles import by_tiles, padded, scaled, up_to
from pix2pix_jax.translator import BATCH_SIZE, Translator, open_translator

BATCH_PIXELS, WAITING_PIXELS = 2**21, 2**24
Read = tuple[Job, Pixels | Exception]  # a file, and what is in it or what is wrong with it


def translate_files(
    config: Config,
    workdir: Path,
    source: str,
    output: Path,
    step: int | Literal["best", "newest"] = "newest",
    seed: int | None = None,
    samples: int = 1,
    tile: int | None = None,
    resize: bool = False,
    noisy: bool = True,
) -> int:
    """Translates a file, a folder with all below it, or what a pattern matches.

    Args:
      config: of the run.
      workdir: of the run.
      source: what to translate.
      output: the folder to write to, in the tree of `source`.
      step: of the checkpoint.
      seed: of the dropout; None: that of the run.
      samples: of every image, each with a dropout of its own.
      tile: side of the tiles to cut images into; None: they stay whole.
      resize: whether to scale images to the size of training, and their outputs back.
      noisy: whether there is dropout.

    Returns:
      The exit status: 2 where some file could not be translated.

    Raises:
      UsageError: nothing to translate, nowhere to write, or no such run or checkpoint.
    """
    config = resolve(config)
    check_run(workdir, config)
    check_asked(config, samples, tile, resize, noisy)
    step, run = open_translator(config, workdir, step, seed, noisy)
    jobs = find_jobs(source, output, samples)
    say(f"{workdir}: step {step}; {len(jobs)} images to {output}")
    done, others, figures, start = 0, 0, {}, time.perf_counter()
    with (
        ThreadPoolExecutor() as pool,
        memory_errors("--input, or --tile: images, or tiles, are too large"),
        tqdm(total=len(jobs), unit="image", disable=not sys.stderr.isatty()) as bar,
    ):
        read = ahead(pool, lambda job: _read(job, config.data.input_channels), jobs)
        size = config.data.image_size if resize else None
        for job, pixels, outputs in translated(
            read, run, 2**config.model.depth, samples, tile, size
        ):
            bar.update()
            try:
                if isinstance(pixels, Exception):
                    raise pixels
                write_outputs(output / job.name, pixels, outputs)
            except (UsageError, OSError) as error:
                tell(error, sys.stderr)
                continue
            done += 1
            others += pixels.values.shape[:2] != config.data.image_size
            for note in pixels.notes:
                tell(f"{job.path}: passed over: {note}", sys.stdout)
            if len(figures) < SHOWN:
                figures[job.name] = figure(job.name, [pixels.values, *outputs])
    seconds = time.perf_counter() - start
    shown = [figures[name] for name in sorted(figures)]
    write_page(output, f"{run_name(workdir)} at step {step}", shown, done)
    say(
        f"{done} images in {seconds:.1f} s, {done / seconds:.2f} images/s; before and after are "
        f"shown in {output / PAGE}"
    )
    if others and not (tile or resize):
        hint(others, config.data.image_size)
    bad = len(jobs) - done
    if bad:
        print(f"{bad} of {len(jobs)} files could not be translated, as told above", file=sys.stderr)
    return 2 if bad else 0


def check_asked(config: Config, samples: int, tile: int | None, resize: bool, noisy: bool) -> None:
    """Raises UsageError where a run cannot do what is asked of it."""
    multiple = 2**config.model.depth
    if tile and tile % multiple:
        raise UsageError(
            f"--tile: {tile} is no multiple of {multiple}; give {up_to(tile, multiple)}"
        )
    if tile and resize:
        raise UsageError("--tile, --resize: give one of them, since either is for large images")
    if samples > 1 and not (noisy and config.model.dropout):
        raise UsageError("--samples: without dropout they are all alike; give 1")


def hint(count: int, size: tuple[int, int]) -> None:
    """Says that images were seen at another size than in training."""
    height, width = size
    say(
        f"{count} of them are not {height}x{width}, as in training (height x width); to let the "
        "network see them at that size, give --resize, or --tile for parts of them"
    )


def translated(
    read: Iterable[Read],
    run: Translator,
    multiple: int,
    samples: int,
    tile: int | None,
    size: tuple[int, int] | None,
) -> Iterator[tuple[Job, Pixels | Exception, list[np.ndarray]]]:
    """Yields every job with what was read and its outputs [h, w, c], those of one shape together.

    Args:
      read: jobs, with their pixels or what is wrong with them.
      run: translates batches.
      multiple: that sides must be of.
      samples: outputs of each.
      tile: as for `translate_files`.
      size: height and width to scale images to, and from which outputs are scaled back.
    """
    waiting: dict[tuple[int, int], list[tuple[Job, Pixels]]] = {}
    numbers = range(samples)

    def together(shape: tuple[int, int]) -> Iterator:
        jobs = waiting.pop(shape)
        whole = [scaled(p.values, *size) if size else p.values for _, p in jobs]
        images, places = zip(*(padded(image, *shape) for image in whole), strict=True)
        batches = [run(np.stack(images), number) for number in numbers]
        for n, (job, pixels) in enumerate(jobs):
            outputs = [batch[n][places[n]] for batch in batches]
            if size:
                outputs = [scaled(output, *pixels.values.shape[:2]) for output in outputs]
            yield job, pixels, outputs

    for job, pixels in read:
        if isinstance(pixels, Exception):
            yield job, pixels, []
        elif tile:
            image = pixels.values
            yield job, pixels, [by_tiles(lambda x, n=n: run(x, n), image, tile) for n in numbers]
        else:
            height, width = size or pixels.values.shape[:2]
            shape = up_to(height, multiple), up_to(width, multiple)
            waiting.setdefault(shape, []).append((job, pixels))
            # As many as fill a batch or, of large ones, as there is room for.
            if len(waiting[shape]) >= min(BATCH_SIZE, max(1, BATCH_PIXELS // math.prod(shape))):
                yield from together(shape)
            while sum(math.prod(s) * len(jobs) for s, jobs in waiting.items()) > WAITING_PIXELS:
                yield from together(next(iter(waiting)))
    for shape in list(waiting):
        yield from together(shape)


def ahead(pool: ThreadPoolExecutor, function: Callable, items: list) -> Iterator:
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
        return job, read_pixels(job.path, channels)
    except (UsageError, OSError) as error:
        return job, error


def write_outputs(path: Path, pixels: Pixels, outputs: list[np.ndarray]) -> None:
    """Writes outputs as PATH.png, or PATH_sample1.png and so on; those of arrays as .npy, too."""
    for number, values in enumerate(outputs, 1):
        name = path.name if len(outputs) == 1 else f"{path.name}_sample{number}"
        suffixes = [".png"] if values.shape[-1] in MODES else []
        if pixels.array or not suffixes:
            suffixes.append(".npy")
        for suffix in suffixes:
            with whole(path.with_name(name + suffix)) as new:
                new.write_bytes(encoded(values, pixels.dtype, suffix))
