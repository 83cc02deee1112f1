"""Turns train.epochs of the variants of a sweep into train.steps."""

from contextlib import suppress

from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.sweeps.sweep_file import SweepPlan
from pix2pix_jax.training.preparation import prepare_dataset, resolve_length


def resolve_lengths(plan: SweepPlan) -> SweepPlan:
    """Turns train.epochs of all variants into train.steps, and prepares their datasets for it.

    A variant whose dataset cannot be prepared keeps its train.epochs; the run of the variant will
    report the error.
    """
    variants = []
    for name, config in plan.variants:
        with suppress(UsageError, OSError):  # The run of the variant will report the same error.
            config = resolve_variant_length(config)
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
