"""Turns train.epochs of the variants of a sweep into train.steps."""

from contextlib import suppress

from pix2pix_jax.config.resolve import resolve, resolve_epochs
from pix2pix_jax.config.schema import Config, Train
from pix2pix_jax.data.pair_names import count_training_pairs
from pix2pix_jax.data.records import limit_pairs
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import SweepFolder
from pix2pix_jax.runtime.console import plural
from pix2pix_jax.sweeps.sweep_file import SweepPlan
from pix2pix_jax.training.preparation import prepare_dataset, resolve_length


def fill_in_lengths(plan: SweepPlan, folder: SweepFolder) -> SweepPlan:
    """Turns train.epochs of the variants that have a run into train.steps; prepares no dataset.

    A run has the number of its training pairs in its workdir. A variant without a run keeps its
    train.epochs, because its pairs may have to be downloaded before they can be counted.
    """
    variants = []
    for name, config in plan.variants:
        pairs = count_training_pairs(folder.workdir(name).pair_names_file)
        pairs = pairs and limit_pairs(pairs, config.data.max_pairs)
        with suppress(UsageError):  # The run of the variant will report the same error.
            config = resolve_epochs(config, pairs) if pairs else config
        variants.append((name, config))
    return plan._replace(variants=variants)


def resolve_variant_length(config: Config) -> Config:
    """Turns train.epochs of a variant into train.steps; other variants stay unchanged.

    Raises:
      UsageError: the dataset cannot be prepared, or the number of steps is too large.
    """
    if config.train.epochs is None:
        return config
    return resolve_length(config, prepare_dataset(resolve(config)))


def describe_length(train: Train) -> str:
    """The length of a run, such as "80,000 steps" or "3 epochs"."""
    return plural(train.steps, "step") if train.epochs is None else plural(train.epochs, "epoch")
