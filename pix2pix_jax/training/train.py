"""The training command: config -> dataset -> batches[step] -> train_step -> metrics -> writer."""

import math
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import islice

import jax
import numpy as np
from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.checkpoints import store as checkpoint
from pix2pix_jax.checkpoints.reader import best_step
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config, replace_fields
from pix2pix_jax.data.augment import Example
from pix2pix_jax.data.builders import fingerprint, prepare
from pix2pix_jax.data.image_files import MODES
from pix2pix_jax.data.pipeline import open_split, prefetch, training_data
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.validation import ValidationScorer
from pix2pix_jax.gan.parallel import parallel_steps
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.gan.step import METRIC_ORDER, Batch, Metrics
from pix2pix_jax.runs.compatibility import check_devices, check_workdir, resolve_norm_images
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime import distributed as hosts
from pix2pix_jax.runtime.backend import copy_to_devices
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.memory import explain_out_of_memory
from pix2pix_jax.runtime.signals import StopSignals
from pix2pix_jax.training.divergence import check_finite
from pix2pix_jax.training.recorder import actions_due, open_recorder


def train(config: Config, workdir: Workdir) -> int:
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
    hosts.check_same_on_all("--config", repr(replace(config, data=elsewhere)))
    check_devices(config.data.batch_size)
    if config.model.norm == "batch":
        images = hosts.broadcast_from_first(
            np.int32(resolve_norm_images(config, workdir) if hosts.is_first() else 0)
        )
        config = replace_fields(config, {"model": {"norm_images": int(images)}})
    template = jax.eval_shape(lambda: create_state(config))
    if hosts.is_first():
        check_workdir(workdir, config)
    with hosts.first_process_first("prepare"):  # who then find it written, on a shared disk
        dataset = prepare(config.data)
    if "train" not in dataset.info.splits:
        raise UsageError(
            f"data.source: {config.data.source} has no images to train on; put them into train/"
        )
    hosts.check_same_on_all("data.data_dir", fingerprint(dataset))
    with explain_out_of_memory():
        evaluate = ValidationScorer(config, dataset).score if hosts.is_first() else _nothing
    last = config.train.steps
    with (
        claim_workdir(workdir) if hosts.is_first() else nullcontext(),
        explain_out_of_memory(),
        StopSignals() as stop_signals,  # until the last save is on disk
    ):
        if hosts.is_first():  # whose run another process may have begun meanwhile
            check_workdir(workdir, config)
        resumed, state, totals = restore_or_create(config, workdir, template, fingerprint(dataset))
        if state.step >= last:
            say(f"{workdir}: done, step {state.step} of train.steps {last}; nothing left to do")
            return 0
        where = f"going on from step {state.step}" if resumed else "starting"
        pairs = dataset.info.splits["train"].num_examples
        epochs = f"{round(last * config.data.batch_size / pairs, 1):,g} epochs"
        say(f"{workdir}: {where}, {epochs} of {pairs} pairs from {dataset.data_dir}")
        say("compiling, which takes half a minute on a CPU, the first time")
        step, signal = fit(config, workdir, dataset, evaluate, state, totals, stop_signals)
    if signal:
        say(f"{workdir}: stopped at step {step} and saved; the same command goes on from there")
        return 128 + signal
    best, metric = best_step(workdir, config.train.best_metric), config.train.best_metric
    if best is not None:
        say(f"{workdir}: best by {metric} is step {best}; pix2pix evaluate --step=best shows it")
    say(f"{workdir}: {step} steps done; the pictures are in {workdir.report_page}")
    return 0


def restore_or_create(
    config: Config, workdir: Workdir, template: TrainState, data: str
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
    return found is not None, hosts.broadcast_from_first(state), totals


def fit(
    config: Config,
    workdir: Workdir,
    dataset: DatasetBuilder,
    evaluate: Callable[[dict], dict[str, float]],
    state: TrainState,
    totals: checkpoint.Totals,
    stop_signals: StopSignals,
) -> tuple[int, int]:
    """Runs to train.steps, or until a signal; returns the last step, which is saved, and that."""
    unread: list[Metrics] = []
    records, number, first = open_split(dataset, "train"), 0, int(state.step)
    with explain_out_of_memory("data.resident_mib: too large"):
        batches, pairs = training_data(config, records, jax.process_index(), jax.process_count())
    recorder = open_recorder(config, workdir, dataset, evaluate, first)
    with (
        closing(prefetch(batches, first)) as batches,
        recorder if hosts.is_first() else nullcontext(_nothing) as record,
    ):
        for step, now, metrics in run_steps(config, state, batches, pairs):
            unread.append(metrics)
            number, due, values = stop_signals.requested(), actions_due(step, config.train), {}
            if due or number:
                values = accumulate_metrics(totals, unread, step)
            record(step, now, values, totals, due, number > 0)
            if number:
                break
    return step, number


def _nothing(*_: object) -> None:
    """What the other processes record."""


def steps_per_call(config: Config) -> int:
    """`train.steps_per_call`, or as many as suit these devices: none sees a difference in bits."""
    if config.train.steps_per_call:
        return config.train.steps_per_call
    if jax.default_backend() == "cpu":
        return 1
    names = "log_every", "checkpoint_every", "sample_every", "evaluate_every"
    common = math.gcd(*(getattr(config.train, name) for name in names))
    most = max(1, 64 * jax.device_count() // config.data.batch_size)
    return max(size for size in range(1, most + 1) if common % size == 0)


def run_steps(
    config: Config, state: TrainState, batches: Iterator[Example], pairs: Batch
) -> Iterator[tuple[int, TrainState, Metrics]]:
    """Yields (completed steps, state, metrics [steps]) after every call to the devices."""
    steps, size = parallel_steps(config, pairs), steps_per_call(config)
    step, last, state = int(state.step), config.train.steps, copy_to_devices(state)
    while step < last:
        # Whole calls where they fit, single steps before and after them.
        count = size if step % size == 0 and step + size <= last else 1
        state, metrics = steps(state, shard_batches(list(islice(batches, count))))
        if jax.default_backend() == "cpu":  # several simulated devices can starve one another
            jax.block_until_ready(metrics)
        step += count
        yield step, state, metrics


def shard_batches(batches: list[Example]) -> Example:
    """Stacks batches as `parallel_steps` takes them: [devices, steps, images of a device, ...]."""
    devices = jax.local_device_count()
    stacked = {}
    for name in batches[0]:
        steps = np.stack([batch[name] for batch in batches])  # [steps, b, ...]
        split = steps.reshape(len(batches), devices, -1, *steps.shape[2:])
        stacked[name] = split.swapaxes(0, 1)  # [devices, steps, b / devices, ...]
    return stacked


def accumulate_metrics(totals: checkpoint.Totals, unread: list[Metrics], step: int) -> Metrics:
    """Adds the metrics of all steps up to `step` that were not yet read, and clears their list.

    One step after another, so that the sum has the same bits however they were called and
    wherever the run was interrupted.

    Returns:
      those metrics, [steps].

    Raises:
      NotFinite: naming the first step, and the first of its terms, that is not.
    """
    fetched = jax.device_get(unread)
    unread.clear()
    joined = {name: np.concatenate([metrics[name] for metrics in fetched]) for name in fetched[0]}
    finite = np.all([np.isfinite(values) for values in joined.values()], axis=0)
    if not finite.all():
        place = int(np.argmin(finite))
        for term in sorted(joined, key=METRIC_ORDER.index):
            check_finite(step - len(finite) + place + 1, term, joined[term][place])
    totals["steps"] = totals.get("steps", 0) + len(finite)
    for name, values in joined.items():
        totals[name] = sum(values.tolist(), totals.get(name, 0.0))
    return joined
