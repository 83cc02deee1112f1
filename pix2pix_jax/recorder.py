"""What is written after a step, by the intervals of a config: metrics, pictures, checkpoints."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import jax
import numpy as np
from PIL import Image
from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.checkpoint import Totals
from pix2pix_jax.config import Config, Train
from pix2pix_jax.config_files import write_config
from pix2pix_jax.data.builders import fingerprint
from pix2pix_jax.data.pipeline import open_split, plain
from pix2pix_jax.generator import make_generator, translate
from pix2pix_jax.health import batch_named, check_finite, collapse_watch
from pix2pix_jax.outbox import open_outbox
from pix2pix_jax.report import write_report
from pix2pix_jax.saver import open_saver
from pix2pix_jax.train_step import Metrics, TrainState, purpose_key
from pix2pix_jax.writer import open_writer, sample_grid


def due_at(step: int, options: Train) -> set[str]:
    """What is to be done after a step, by the intervals of a config; all of it after the last."""
    intervals = {
        "log": options.log_every,
        "sample": options.sample_every,
        "checkpoint": options.checkpoint_every,
        "evaluate": options.evaluate_every,
    }
    return {
        name
        for name, every in intervals.items()
        if every > 0 and (step % every == 0 or step == options.steps)
    }


@contextmanager
def open_recorder(
    config: Config,
    workdir: Path,
    dataset: DatasetBuilder,
    evaluate: Callable[[dict], dict[str, float]],
    first: int,
) -> Iterator[Callable[..., None]]:
    """Opens all that a run from step `first` on writes.

    Yields:
      record(step, state, values, totals, due, stop): to be called after every call to the
      devices; `values` are the metrics of the steps since it was last `due`, `totals` their sums.
    """
    options, data, watch = config.train, fingerprint(dataset), collapse_watch(config.loss.gan)
    begun = False
    sample = sampler(config, open_split(dataset, "val"))
    with (
        open_outbox() as put,
        open_writer(workdir, first, options.steps, config.data.batch_size, put) as (advance, write),
        open_saver(workdir, options) as (save, look),
        batch_named(config, open_split(dataset, "train"), workdir),
    ):

        def record(
            step: int,
            state: TrainState,
            values: Metrics,
            totals: Totals,
            due: set[str],
            stop: bool,
        ) -> None:
            nonlocal begun
            advance(step)  # after the wait for the devices, where there was one
            look()
            if values:
                watch(step, values["loss/discriminator"])
            if not begun:  # it compiles, and fits into memory
                put("config.json", lambda: write_config(config, workdir / "config.json"))
                begun = True
            scores = {}
            if due - {"checkpoint"}:
                picture, error = sample(step, state.generator.params)  # which have to be finite
                scores = evaluate(state.generator.params) if "evaluate" in due else {}
                scalars = {
                    f"evaluation/{name}": value
                    for name, value in scores.items()
                    if np.isfinite(value)  # the log is JSON, and a PSNR may be infinite
                }
                scalars |= means(totals) | {"validation/l1": error}
                write(step, scalars, picture if "sample" in due else None)
            if step % options.log_every == 0:
                totals.clear()
            if "sample" in due or stop:
                put("report", lambda: write_report(workdir, config))
            if due & {"checkpoint", "evaluate"} or stop:
                save(state, totals, data, scores, last=stop or step == options.steps)

        yield record


def sampler(
    config: Config, pairs: Sequence[dict]
) -> Callable[[int, dict], tuple[Image.Image, float]]:
    """A function of step and generator's parameters: a picture of some fixed pairs, and their L1.

    It raises UsageError when that is not finite.
    """
    examples = [plain(pairs[i], config.data) for i in range(min(config.train.samples, len(pairs)))]
    images, targets = (np.stack([e[name] for e in examples]) for name in ("input", "target"))
    keys = jax.random.split(purpose_key(config, "samples"), len(examples))
    generator = make_generator(config)
    apply = jax.jit(partial(translate, generator))

    def sample(step: int, params: dict) -> tuple[Image.Image, float]:
        outputs = np.asarray(apply(params, images, keys))
        error = float(np.abs(outputs - targets).mean())
        check_finite(step, "validation/l1", error)
        return sample_grid({"input": images, "output": outputs, "target": targets}), error

    return sample


def means(totals: Totals) -> dict[str, float]:
    """Of the metrics of the steps that were added up."""
    return {name: total / totals["steps"] for name, total in totals.items() if name != "steps"}
