"""The metrics that a run logs, and the names under which the terminal shows them."""

from typing import TypeVar

from pix2pix_jax.config.schema import GanLoss

T = TypeVar("T")
SHORT_NAMES = {  # short names of the metrics that the progress bar shows
    "loss/discriminator": "D",
    "loss/generator_gan": "G",
    "loss/generator_l1": "L1",
    "validation/l1": "val",
}
# Without a discriminator, a training step returns zeros for these metrics.
DISCRIMINATOR_METRICS = ("loss/discriminator", "gradient/discriminator", "loss/generator_gan")


def measured_metrics(metrics: dict[str, T], gan: GanLoss) -> dict[str, T]:
    """Drops the metrics that were not measured, because the run has no discriminator.

    Args:
      metrics: values by metric.
      gan: the adversarial loss, `loss.gan`.
    """
    dropped = DISCRIMINATOR_METRICS if gan == "none" else ()
    return {name: value for name, value in metrics.items() if name not in dropped}


def short_metrics(scalars: dict[str, float]) -> dict[str, float]:
    """The metrics of SHORT_NAMES among `scalars`, in the same order."""
    return {name: value for name, value in scalars.items() if name in SHORT_NAMES}


def describe_scalars(scalars: dict[str, float]) -> str:
    """The text of metrics in a line of the terminal, such as "discriminator 0.693"."""
    return "  ".join(f"{name.removeprefix('loss/')} {value:.3f}" for name, value in scalars.items())
