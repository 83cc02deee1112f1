"""The training command: config -> dataset -> batches[step] -> train_step -> metrics -> writer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

import jax
import numpy as np
from PIL import Image
from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax import checkpoint, hosts
from pix2pix_jax.checkpoint_reader import best_step
from pix2pix_jax.config import Config, Train, UsageError, resolve
from pix2pix_jax.config_files import write_config
from pix2pix_jax.console import say
from pix2pix_jax.data.builders import fingerprint, prepare
from pix2pix_jax.data.images import MODES
from pix2pix_jax.data.pipeline import Example, open_split, plain, prefetched, train_batches
from pix2pix_jax.generator import make_generator, translate
from pix2pix_jax.guards import (
    caught_signals,
    check_devices,
    check_finite,
    check_workdir,
    memory_errors,
    owned,
)
from pix2pix_jax.outbox import open_outbox
from pix2pix_jax.report import write_report
from pix2pix_jax.saver import open_saver
from pix2pix_jax.scoring import make_evaluator
from pix2pix_jax.train_step import (
    Metrics,
    TrainState,
    create_state,
    on_devices,
    parallel_steps,
    purpose_key,
)
from pix2pix_jax.writer import open_writer, sample_grid


def train(config: Config, workdir: Path) -> int:
    """Trains, or goes on where the same command was stopped.

    Returns:
      The exit status: 0 when done, 128 + the number of the signal that stopped it.

    Raises:
      UsageError: config, data or checkpoint that cannot be used, or a loss that is not finite.
    """
    config = resolve(config)
    for name in ("input_channels", "target_channels"):
        channels = getattr(config.data, name)
        if channels not in MODES:
            raise UsageError(f"data.{name}: {channels} is for arrays; images have 1, 3 or 4")
    elsewhere = replace(config.data, source=None, data_dir="")  # which may lie where it likes
    hosts.check_alike("--config", repr(replace(config, data=elsewhere)))
    check_devices(config.data.batch_size)
    template = jax.eval_shape(lambda: create_state(config))
    if hosts.is_first():
        check_workdir(workdir, config)
    with hosts.first_before_others("prepare"):  # who then find it written, on a shared disk
        dataset = prepare(config.data)
    if "train" not in dataset.info.splits:
        raise UsageError(
            f"data.source: {config.data.source} has no images to train on; put them into train/"
        )
    hosts.check_alike("data.data_dir", fingerprint(dataset))
    with memory_errors():
        evaluate = make_evaluator(config, dataset) if hosts.is_first() else _nothing
    last = config.train.steps
    with (
        owned(workdir) if hosts.is_first() else nullcontext(),
        memory_errors(),
        caught_signals() as stopping,  # until the last save is on disk
    ):
        resumed, state, totals = restored(config, workdir, template, fingerprint(dataset))
        if state.step >= last:
            say(f"{workdir}: done, step {state.step} of train.steps {last}; nothing left to do")
            return 0
        where = f"going on from step {state.step}" if resumed else "starting"
        pairs = dataset.info.splits["train"].num_examples
        epochs = f"{round(last * config.data.batch_size / pairs, 1):,g} epochs"
        say(f"{workdir}: {where}, {epochs} of {pairs} pairs from {dataset.data_dir}")
        say("compiling, which takes half a minute on a CPU")
        step, signal = fit(config, workdir, dataset, evaluate, state, totals, stopping)
    hosts.wait_for_all("the end")
    if signal:
        say(f"{workdir}: stopped at step {step} and saved; the same command goes on from there")
        return 128 + signal
    best, metric = best_step(workdir, config.train.best_metric), config.train.best_metric
    if best is not None:
        say(f"{workdir}: best by {metric} is step {best}; pix2pix evaluate --step=best shows it")
    say(f"{workdir}: {step} steps done; the pictures are in {workdir}/report/index.html")
    return 0


def restored(
    config: Config, workdir: Path, template: TrainState, data: str
) -> tuple[bool, TrainState, checkpoint.Totals]:
    """Whether there was a checkpoint; the state to go on from; and what the log goes on from.

    Read by the first process, and the same to the bit in all.
    """
    found = None
    if hosts.is_first():
        with checkpoint.open_checkpoints(
            workdir, config.train.keep, config.train.best_metric
        ) as checkpoints:
            found = checkpoint.restore_newest(checkpoints, template, data)
    state, totals = found or (jax.device_get(create_state(config)), {})
    return found is not None, hosts.of_first(state), totals


def fit(
    config: Config,
    workdir: Path,
    dataset: DatasetBuilder,
    evaluate: Callable[[dict], dict[str, float]],
    state: TrainState,
    totals: checkpoint.Totals,
    stopping: Callable[[int], int],
) -> tuple[int, int]:
    """Runs to train.steps, or until a signal; returns the last step, which is saved, and that."""
    options, unread, number = config.train, [], 0
    batches = train_batches(
        config, open_split(dataset, "train"), jax.process_index(), jax.process_count()
    )
    with (
        closing(prefetched(batches, int(state.step))) as batches,
        recorder(config, workdir, dataset, evaluate, int(state.step))
        if hosts.is_first()
        else nullcontext(_nothing) as record,
    ):
        for step, now, metrics in updates(config, state, batches):
            unread.append(metrics)
            number = stopping(step)
            due = due_at(step, options)
            if due or number:
                add_up(totals, unread, step)
            record(step, now, totals, due, number > 0)
            if number:
                break
    return step, number


def _nothing(*_: object) -> None:
    """What the other processes record."""


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
def recorder(
    config: Config,
    workdir: Path,
    dataset: DatasetBuilder,
    evaluate: Callable[[dict], dict[str, float]],
    first: int,
) -> Iterator[Callable[..., None]]:
    """Opens all that a run from step `first` on writes.

    Yields:
      record(step, state, totals, due, stop): after every call to the devices.
    """
    options, data = config.train, fingerprint(dataset)
    sample = sampler(config, open_split(dataset, "val"))
    with (
        open_outbox() as put,
        open_writer(workdir, first, options.steps, config.data.batch_size, put) as (advance, write),
        open_saver(workdir, options) as (save, look),
    ):

        def record(
            step: int, state: TrainState, totals: checkpoint.Totals, due: set[str], stop: bool
        ) -> None:
            advance(step)  # after the wait for the devices, where there was one
            look()
            if step - first <= options.steps_per_call:  # it compiles, and fits into memory
                put("config.json", lambda: write_config(config, workdir / "config.json"))
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


def updates(
    config: Config, state: TrainState, batches: Iterator[Example]
) -> Iterator[tuple[int, TrainState, Metrics]]:
    """Yields (completed steps, state, metrics [steps]) after every call to the devices."""
    steps, size = parallel_steps(config), config.train.steps_per_call
    step, last, state = int(state.step), config.train.steps, on_devices(state)
    while step < last:
        # Whole calls where they fit, single steps before and after them.
        count = size if step % size == 0 and step + size <= last else 1
        state, metrics = steps(state, shards(list(islice(batches, count))))
        if jax.default_backend() == "cpu":  # several simulated devices can starve one another
            jax.block_until_ready(metrics)
        step += count
        yield step, state, metrics


def shards(batches: list[Example]) -> Example:
    """Stacks batches as `parallel_steps` takes them: [devices, steps, images of a device, ...]."""
    devices = jax.local_device_count()
    stacked = {}
    for name in batches[0]:
        steps = np.stack([batch[name] for batch in batches])  # [steps, b, ...]
        split = steps.reshape(len(batches), devices, -1, *steps.shape[2:])
        stacked[name] = split.swapaxes(0, 1)  # [devices, steps, b / devices, ...]
    return stacked


def add_up(totals: checkpoint.Totals, unread: list[Metrics], step: int) -> None:
    """Adds the metrics of all steps up to `step` that were not yet read, and clears their list.

    One step after another, so that the sum has the same bits however they were called and
    wherever the run was interrupted.

    Raises:
      UsageError: naming the first step, and the first of its terms, that is not finite.
    """
    fetched = jax.device_get(unread)
    unread.clear()
    joined = {name: np.concatenate([metrics[name] for metrics in fetched]) for name in fetched[0]}
    finite = np.all([np.isfinite(values) for values in joined.values()], axis=0)
    if not finite.all():
        place = int(np.argmin(finite))
        for term, values in joined.items():
            check_finite(step - len(finite) + place + 1, term, values[place])
    totals["steps"] = totals.get("steps", 0) + len(finite)
    for name, values in joined.items():
        totals[name] = sum(values.tolist(), totals.get(name, 0.0))


def means(totals: checkpoint.Totals) -> dict[str, float]:
    """Of the metrics of the steps that were added up."""
    return {name: total / totals["steps"] for name, total in totals.items() if name != "steps"}


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
    apply = jax.jit(lambda params: translate(generator, params, images, keys))

    def sample(step: int, params: dict) -> tuple[Image.Image, float]:
        outputs = np.asarray(apply(params))
        error = float(np.abs(outputs - targets).mean())
        check_finite(step, "validation/l1", error)
        return sample_grid({"input": images, "output": outputs, "target": targets}), error

    return sample
