"""Numbers gone bad: what is not finite ends a run, a discriminator that wins is warned of."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.pipeline import batch_names
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.step import METRIC_ORDER
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import print_above_bar
from pix2pix_jax.runtime.files import write_atomically

LOST = 1e-3  # a loss of the discriminator under which the generator learns nothing from it
LONG = 1000  # steps


class NotFinite(UsageError):
    """A run has gone astray."""

    def __init__(self, step: int, term: str, value: float):
        self.step, self.term, self.value = step, term, value
        super().__init__(
            f"step {step}: {term} is {value}; what was saved before is kept; start another "
            "--workdir, say with a lower --config.optimizer.learning_rate"
        )


def check_finite(step: int, term: str, value: float) -> None:
    """Raises NotFinite, naming the step and the term, where a value is not."""
    if not np.isfinite(value):
        raise NotFinite(step, term, value)


@contextmanager
def batch_named(config: Config, records: Sequence[dict], workdir: Workdir) -> Iterator[None]:
    """Writes which pairs a step saw where its numbers are not finite, to be looked at.

    Args:
      config: of the run.
      records: of the training split.
      workdir: of the run, where `not_finite.json` tells the step, the first bad term and the pairs.
    """
    try:
        yield
    except NotFinite as error:
        if error.term not in METRIC_ORDER:  # of the samples, which are other pairs
            raise
        path = workdir.not_finite_file
        found = {"step": error.step, "term": error.term, "value": str(error.value)}
        found["pairs"] = batch_names(config, records, error.step - 1)
        try:
            write_atomically(path, json.dumps(found, indent=2) + "\n")
        except OSError:
            raise error from None
        raise UsageError(f"{error}; {path} names the pairs of that step") from error


def collapse_watch(gan: str) -> Callable[[int, np.ndarray], None]:
    """watch(step, losses): warns of a discriminator that has long told every image apart.

    Args:
      gan: the kind of its loss, as in `config.Loss`. That of wgan_gp has no least value.
    """
    lost = 0  # of the last steps

    def watch(step: int, losses: np.ndarray) -> None:
        nonlocal lost
        warned, loud = lost >= LONG, np.flatnonzero(losses >= LOST)
        lost = len(losses) - 1 - int(loud[-1]) if loud.size else lost + len(losses)
        if lost >= LONG and not (warned and not loud.size) and gan not in ("none", "wgan_gp"):
            print_above_bar(
                f"step {step}: loss/discriminator has been under {LOST} for {lost:,} steps: it "
                "tells every image apart, and the generator learns from L1 alone. Better a weaker "
                "one (model.discriminator=patch34 or pixel, model.discriminator_features=32), "
                "loss.gan=lsgan, or more pairs",
                sys.stderr,
            )

    return watch
