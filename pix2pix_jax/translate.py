"""The translation command: images in, PNGs of the same stem and the same size out."""

import glob
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from pix2pix_jax.before_after import PAGE, SHOWN, figure, write_page
from pix2pix_jax.checkpoint_reader import read_network
from pix2pix_jax.config import Config, UsageError, resolve
from pix2pix_jax.data.images import MODES
from pix2pix_jax.data.pixels import Pixels, encoded, read_pixels
from pix2pix_jax.data.sources import SUFFIXES, walk
from pix2pix_jax.evaluate import check_run
from pix2pix_jax.files import whole
from pix2pix_jax.generator import make_generator, translate
from pix2pix_jax.guards import memory_errors
from pix2pix_jax.page import run_name
from pix2pix_jax.tiles import by_tiles, padded, up_to
from pix2pix_jax.train_step import create_state, purpose_key
from pix2pix_jax.writer import say

BATCH_SIZE = 8  # on which, but for rounding, no result depends
READABLE = SUFFIXES | {".npy"}
Translator = Callable[[np.ndarray, int], np.ndarray]  # [b, h, w, c] and the number of a sample


class Job(NamedTuple):
    """A file to translate."""

    path: Path
    name: str  # of what comes out, below the output folder and without its suffix


def translate_files(
    config: Config,
    workdir: Path,
    source: str,
    output: Path,
    step: int | Literal["best", "newest"] = "newest",
    seed: int | None = None,
    samples: int = 1,
    tile: int | None = None,
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
      noisy: whether there is dropout.

    Returns:
      The exit status: 2 where some file could not be translated.

    Raises:
      UsageError: nothing to translate, nowhere to write, or no such run or checkpoint.
    """
    config = resolve(config)
    check_run(workdir, config)
    multiple = 2**config.model.depth
    if tile and tile % multiple:
        raise UsageError(
            f"--tile: {tile} is no multiple of {multiple}; give {up_to(tile, multiple)}"
        )
    if samples > 1 and not (noisy and config.model.dropout):
        raise UsageError("--samples: without dropout they are all alike; give 1")
    jobs = find_jobs(source, output)
    step, run = open_translator(config, workdir, step, seed, noisy)
    say(f"{workdir}: step {step}; {len(jobs)} images to {output}")
    write_page(output, f"{run_name(workdir)} at step {step}", [], 0)  # marks the folder as ours
    done, bad, figures, start = 0, 0, {}, time.perf_counter()
    with (
        ThreadPoolExecutor() as pool,
        memory_errors("--input, or --tile: images, or tiles, are too large"),
        tqdm(total=len(jobs), unit="image", disable=not sys.stderr.isatty()) as bar,
    ):
        read = ahead(pool, lambda job: _read(job, config.data.input_channels), jobs)
        for job, pixels, outputs in translated(read, run, multiple, samples, tile):
            bar.update()
            if isinstance(pixels, Exception):
                bad += 1
                tell(pixels, sys.stderr)
                continue
            done += 1
            for note in pixels.notes:
                tell(f"{job.path}: passed over: {note}", sys.stdout)
            write_outputs(output / job.name, pixels, outputs)
            if len(figures) < SHOWN:
                figures[job.name] = figure(job.name, [pixels.values, *outputs])
    seconds = time.perf_counter() - start
    shown = [figures[name] for name in sorted(figures)]
    write_page(output, f"{run_name(workdir)} at step {step}", shown, done)
    say(
        f"{done} images in {seconds:.1f} s, {done / seconds:.2f} images/s; before and after are "
        f"shown in {output / PAGE}"
    )
    if bad:
        print(f"{bad} of {len(jobs)} files could not be translated, as told above", file=sys.stderr)
    return 2 if bad else 0


def find_jobs(source: str, output: Path) -> list[Job]:
    """What is to be translated, in order.

    Raises:
      UsageError: there is nothing, or outputs would take the place of what is not theirs.
    """
    root = Path(source).expanduser()
    if root.is_dir():
        files = [path for path in walk(root) if _is_readable(path.relative_to(root))]
    elif root.is_file():
        root, files = root.parent, [root]
    elif glob.has_magic(str(root)):
        found = sorted(map(Path, glob.glob(str(root), recursive=True)))
        files = [path for path in found if path.is_file()]
        parts = root.parts[: [glob.has_magic(part) for part in root.parts].index(True)]
        root = Path(*parts)
    else:
        raise UsageError(f"--input: {source} does not exist; mend the path")
    if output.is_file() or output.suffix.lower() in READABLE:
        raise UsageError(f"--output: {output} is a file; give a folder, which may be a new one")
    ours, within = (output / PAGE).exists(), output.resolve()
    inside = [path for path in files if path.resolve().is_relative_to(within)]
    if inside and not ours:
        raise UsageError(f"--output: {output} holds images to translate; give a folder of its own")
    files = [path for path in files if path not in inside]  # those of the last time
    if not files:
        raise UsageError(f"--input: {source} holds no images ({', '.join(sorted(READABLE))})")
    stems = Counter(path.relative_to(root).with_suffix("") for path in files)
    jobs = []
    for path in files:
        name = path.relative_to(root)
        alone = stems[name.with_suffix("")] == 1  # or both keep what tells them apart
        jobs.append(Job(path, str(name.with_suffix("") if alone else name)))
    there = [output / (job.name + suffix) for job in jobs for suffix in (".png", ".npy")]
    lost = next((path for path in there if path.exists()), None)
    if lost and not ours:
        raise UsageError(f"--output: {lost} is there, and not from here; give another folder")
    return jobs


def _is_readable(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in READABLE and not hidden


def open_translator(
    config: Config,
    workdir: Path,
    step: int | Literal["best", "newest"],
    seed: int | None,
    noisy: bool,
) -> tuple[int, Translator]:
    """The step of a checkpoint, and its generator as a function of images and a sample's number.

    What becomes of an image is a function of it, the seed and that number alone.
    """
    template = jax.eval_shape(lambda: create_state(config))
    step, params, _ = read_network(workdir, template, step, config.train.best_metric)
    generator, params = make_generator(config), jax.device_put(params)
    seeded = config if seed is None else replace(config, seed=seed)
    key = purpose_key(seeded, "translations")
    compiled: dict[tuple[int, ...], set[int]] = {}  # sizes of batches, by shape of an image

    @jax.jit
    def generate(params: dict, images: jax.Array, sample: int) -> jax.Array:
        keys = jax.random.fold_in(key, sample)[None].repeat(len(images))
        return translate(generator, params, images, keys if noisy else None)

    def run(images: np.ndarray, sample: int) -> np.ndarray:
        outputs = []
        for first in range(0, len(images), BATCH_SIZE):
            batch = images[first : first + BATCH_SIZE]
            sizes = compiled.setdefault(images.shape[1:], set())
            size = min((size for size in sizes if size >= len(batch)), default=len(batch))
            sizes.add(size)
            fill = np.repeat(batch[-1:], size - len(batch), 0)  # so that less is compiled
            filled = np.concatenate([batch, fill])
            outputs.append(np.asarray(generate(params, filled, sample))[: len(batch)])
        return np.concatenate(outputs)

    return step, run


Read = tuple[Job, Pixels | Exception]


def translated(
    read: Iterable[Read], run: Translator, multiple: int, samples: int, tile: int | None
) -> Iterator[tuple[Job, Pixels | Exception, list[np.ndarray]]]:
    """Yields every job with what was read and its outputs [h, w, c], those of one shape together.

    Args:
      read: jobs, with their pixels or what is wrong with them.
      run: translates batches.
      multiple: that sides must be of.
      samples: outputs of each.
      tile: as for `translate_files`.
    """
    waiting: dict[tuple[int, int], list[tuple[Job, Pixels]]] = {}

    def together(shape: tuple[int, int]) -> Iterator:
        jobs = waiting.pop(shape)
        images, places = zip(*(padded(pixels.values, *shape) for _, pixels in jobs), strict=True)
        outputs = [run(np.stack(images), sample) for sample in range(samples)]
        for place, (job, pixels) in enumerate(jobs):
            yield job, pixels, [output[place][places[place]] for output in outputs]

    for job, pixels in read:
        if isinstance(pixels, Exception):
            yield job, pixels, []
        elif tile:
            image = pixels.values
            numbers = range(samples)
            yield job, pixels, [by_tiles(lambda x, n=n: run(x, n), image, tile) for n in numbers]
        else:
            height, width, _ = pixels.values.shape
            shape = up_to(height, multiple), up_to(width, multiple)
            waiting.setdefault(shape, []).append((job, pixels))
            if len(waiting[shape]) == BATCH_SIZE:
                yield from together(shape)
    for shape in list(waiting):
        yield from together(shape)


def ahead(pool: ThreadPoolExecutor, function: Callable, items: list) -> Iterator:
    """Results in order, made by threads a little before they are asked for."""
    futures: deque = deque()
    for item in items:
        futures.append(pool.submit(function, item))
        if len(futures) > 2 * BATCH_SIZE:
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


def tell(text: object, file) -> None:
    """A line beside the progress bar."""
    with suppress(OSError):  # nobody may be watching
        tqdm.write(str(text), file=file)
        file.flush()
