"""What is written after a step, by the intervals of a config: metrics, pictures, checkpoints."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.checkpoints.saver import open_saver
from pix2pix_jax.checkpoints.store import Totals
from pix2pix_jax.config.files import write_config
from pix2pix_jax.config.schema import Config, Train
from pix2pix_jax.data.builders import fingerprint
from pix2pix_jax.data.pipeline import open_split
from pix2pix_jax.gan.state import TrainState
from pix2pix_jax.gan.step import Metrics
from pix2pix_jax.reports.run import write_report
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.retry_queue import RetryQueue
from pix2pix_jax.training.divergence import batch_named, collapse_watch
from pix2pix_jax.training.metric_writer import open_writer
from pix2pix_jax.training.samples import sampler


def actions_due(step: int, options: Train) -> set[str]:
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
    workdir: Workdir,
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
        RetryQueue() as queue,
        open_writer(workdir, first, options.steps, config.data.batch_size, queue.put) as (
            advance,
            write,
        ),
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
                queue.put("config.json", lambda: write_config(config, workdir.config_file))
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
                scalars |= mean_metrics(totals) | {"validation/l1": error}
                write(step, scalars, picture if "sample" in due else None)
            if step % options.log_every == 0:
                totals.clear()
            if "sample" in due or stop:
                queue.put("report", lambda: write_report(workdir, config))
            if due & {"checkpoint", "evaluate"} or stop:
                save(state, totals, data, scores, last=stop or step == options.steps)

        yield record


def mean_metrics(totals: Totals) -> dict[str, float]:
    """Of the metrics of the steps that were added up."""
    return {name: total / totals["steps"] for name, total in totals.items() if name != "steps"}
