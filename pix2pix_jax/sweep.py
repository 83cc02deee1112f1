"""The sweep command: every variant trained and evaluated, then all of them in one table."""

import time
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.config import Config, UsageError, resolve
from pix2pix_jax.config_files import Sweep
from pix2pix_jax.data.builders import fingerprint, prepare
from pix2pix_jax.data.pipeline import open_split
from pix2pix_jax.describe import describe
from pix2pix_jax.evaluate import evaluate
from pix2pix_jax.files import locked, write_whole
from pix2pix_jax.guards import Occupied, check_devices, check_same_run
from pix2pix_jax.results import FAILED, finished, write_results
from pix2pix_jax.segmenter import reader_name, why_unread
from pix2pix_jax.train import train
from pix2pix_jax.train_step import create_state, make_train_step, step_key
from pix2pix_jax.writer import read_metrics, say


def sweep(plan: Sweep, workdir: Path, index: int | None, split: str) -> int:
    """Trains and evaluates the variants that are not finished, and collects them all.

    The same command goes on where it was stopped. One that fails is told in the table and does
    not stop the others; the next time it is tried again.

    Args:
      plan: the variants, each of which gets the folder workdir/<name>.
      workdir: of the sweep.
      index: of the one variant to run; None: all, one after another.
      split: to evaluate.

    Returns:
      The exit status: 0, or 128 + the number of a signal that stopped it.

    Raises:
      UsageError: runs that are there are of other variants; or, after all else was written,
        a variant failed.
    """
    chosen = plan.variants if index is None else [_variant(plan, index)]
    check_runs(plan, workdir)
    for place, (name, config) in enumerate(chosen, 1):
        say(f"== {name} ({place} of {len(chosen)})")
        status = run_variant(config, workdir / name, split)
        if status:
            return status
        jax.clear_caches()  # or the programs of all variants would pile up
    with locked(workdir, wait=True):
        failed = write_results(plan, workdir, split)
    say(f"{workdir}: the tables are in results.md, the pictures in report/index.html")
    ours = [name for name, _ in chosen if name in failed]
    if ours:
        raise UsageError(
            f"{workdir}: {len(ours)} of {len(chosen)} variants failed ({', '.join(ours)}), for the "
            "reasons in results.md; the same command tries them again"
        )
    return 0


def check_runs(plan: Sweep, workdir: Path) -> None:
    """Raises UsageError where runs that are there are of other variants, before a table is lost."""
    for name, config in plan.variants:
        path = workdir / name / "config.json"
        with suppress(UsageError):  # one that cannot be built is told as failed
            config = resolve(config)
        if path.exists():
            mend = "undo the change, or give the sweep another --workdir"
            check_same_run(path, config, mend)


def _variant(plan: Sweep, index: int) -> tuple[str, Config]:
    if not 0 <= index < len(plan.variants):
        raise UsageError(f"--index: {index} is none of 0 to {len(plan.variants) - 1}; see --list")
    return plan.variants[index]


def run_variant(config: Config, folder: Path, split: str) -> int:
    """Trains and evaluates one variant, as far as that is not done.

    Returns:
      0, also where it failed, which is then told in its folder; 128 + the number of a signal.
    """
    try:
        config = resolve(config)
        dataset = prepare(config.data)
        open_split(dataset, split)  # rather than find it missing after the training
        if up_to_date(config, dataset, folder, split):
            say(f"{folder}: finished")
        else:
            (folder / FAILED).unlink(missing_ok=True)
            status = train(config, folder)
            if status:
                return status
            fcn_score = not why_unread(config.data)
            evaluate(config, folder, split, config.train.steps, fcn_score)
    except Occupied as error:  # say, by the same variant of an array job that was started twice
        say(str(error))
    except Exception as error:  # whatever it is, the others are to go on
        kind = "" if isinstance(error, UsageError) else f"{type(error).__name__}: "
        reason = kind + " ".join(str(error).split())
        write_whole(folder / FAILED, reason + "\n")
        say(f"{folder}: failed: {reason}")
    else:
        (folder / FAILED).unlink(missing_ok=True)
    return 0


def up_to_date(config: Config, dataset: DatasetBuilder, folder: Path, split: str) -> bool:
    """Whether there is an evaluation of this variant, these pairs and today's segmenter."""
    found = finished(config, folder, split)
    if found is None:
        return False
    judge = None if why_unread(config.data) else reader_name(config.data, dataset)
    pairs = fingerprint(dataset, ("train", split))
    return (found["data"], found["segmenter"]) == (pairs, judge)


def as_text(plan: Sweep, workdir: Path, split: str) -> str:
    """The plan: every variant with its networks, how far it is and how long it may take."""
    check_runs(plan, workdir)
    lines = [
        plan.title,
        f"{'index':>5}  {'variant':32} {'generator':>12} {'discriminator':>14} {'field':>6} "
        f"{'steps':>9} {'training':>12}  state",
    ]
    total = 0.0
    speeds = _speeds(plan, workdir)
    for index, (name, config) in enumerate(plan.variants):
        text = f"{index:>5}  {name:32}"
        try:
            config = resolve(config)
            networks, guess = _networks(_of_any_seed(config))
        except UsageError as error:
            lines.append(f"{text} cannot be built: {error}")
            continue
        steps = read_metrics(workdir / name / "metrics.jsonl")
        step = steps[-1]["step"] if steps else 0
        state = f"at step {step:,}" if step else ""
        if finished(config, workdir / name, split):
            step, state = config.train.steps, "finished"
        left = max(0, config.train.steps - step) * speeds.get(_of_any_seed(config), guess)
        total += left
        generator, discriminator = networks["generator"], networks["discriminator"]
        size, field = discriminator["parameters"], discriminator["receptive_field"]
        if config.loss.gan == "none":
            size, field = 0, ""
        lines.append(
            f"{text} {generator['parameters']:>12,} {size:>14,} {field:>6} "
            f"{config.train.steps:>9,} {duration(left):>12}  {state}".rstrip()
        )
    source = "as measured where one has run, else " if speeds else ""
    guess = f"{duration(total)} of training in all, {source}guessed from the arithmetic; starting,"
    return "\n".join([*lines, guess, "compiling and evaluating take up to a minute more for each"])


def duration(seconds: float) -> str:
    """As people say it: 40 s, 12 min, 3 h 5 min, 2 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 60 * 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def _of_any_seed(config: Config) -> Config:
    return replace(config, seed=0)


def _speeds(plan: Sweep, workdir: Path) -> dict[Config, float]:
    """Seconds a step of those that have run here, by their config."""
    speeds = {}
    for name, config in plan.variants:
        lines = read_metrics(workdir / name / "metrics.jsonl")
        with suppress(UsageError):
            if lines:
                rate = lines[-1]["images_per_second"] / config.data.batch_size
                speeds[_of_any_seed(resolve(config))] = 1 / rate
    return speeds


@cache
def _networks(config: Config) -> tuple[dict, float]:
    """What `describe` says of a resolved config, and the seconds that a step may take.

    The arithmetic of a step at two thirds of the rate at which this machine multiplies matrices:
    between 0.8 and 0.4 of it were measured on CPU, for large and small networks. An accelerator
    waits for memory and dispatch as well, and takes longer.
    """
    size, devices = config.data.image_size, jax.device_count()
    check_devices(config.data.batch_size)
    b = config.data.batch_size // devices
    batch = {
        "input": jnp.zeros((b, *size, config.data.input_channels)),
        "target": jnp.zeros((b, *size, config.data.target_channels)),
        "index": jnp.zeros(b, jnp.int32),
    }
    state = jax.eval_shape(lambda: create_state(config))
    step = jax.jit(make_train_step(config)).lower(state, batch, step_key(config, 0))
    return describe(config), 1.5 * step.cost_analysis()["flops"] / _rate(config.train.dtype)


@cache
def _rate(dtype: str) -> float:
    """Floating-point operations a second of a matrix product, the best of some."""
    n = 2_048
    x = jnp.ones((n, n), dtype)
    multiply = jax.jit(jnp.matmul)
    multiply(x, x).block_until_ready()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        multiply(x, x).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds)
