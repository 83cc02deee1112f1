"""Detects failed training: values that are not finite, and a discriminator that always wins."""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from pix2pix_jax.checkpoints.errors import StateNotFinite
from pix2pix_jax.config.fields import replace_fields
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.pipeline import batch_names
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.step import METRIC_ORDER
from pix2pix_jax.runs.restart import format_flag, init_command, next_location
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.storage.files import write_atomically

COLLAPSED_LOSS = 1e-3  # Below this discriminator loss, the generator's GAN gradient vanishes.
COLLAPSED_STEPS = 1000  # the number of steps in a row below COLLAPSED_LOSS that cause a warning
# The values of loss.gan for which a low loss is normal. `none` has no discriminator, so the
# loss is 0. The loss of `wgan_gp` has no lower bound.
WITHOUT_COLLAPSE = ("none", "wgan_gp")


class NotFinite(UsageError):
    """A metric of a run, such as a loss or the norm of a gradient, is infinite or not a number."""

    def __init__(self, step: int, metric: str, value: float):
        self.step, self.metric, self.value = step, metric, value
        super().__init__(
            f"step {step}: {metric} is {value}",
            "train with a lower --config.optimizer.learning_rate",
        )


class Diverged(UsageError):
    """A run has values that are not finite. The fix is for a run that `pix2pix train` trains."""


def check_finite(step: int, metric: str, value: float) -> None:
    """Raises NotFinite if the value of a metric at a step is not finite."""
    if not np.isfinite(value):
        raise NotFinite(step, metric, value)


@contextmanager
def explain_divergence(config: Config, records: Sequence[dict], workdir: Workdir) -> Iterator[None]:
    """Tells the user how to continue after values that are not finite, and names the pairs.

    A file names the training pairs of a step at which a metric was not finite: it has the step, the
    metric, its value and the names of the pairs. If the metric was measured on validation pairs, no
    file is written.

    Args:
      config: the config of the run.
      records: the records of the training split.
      workdir: the workdir of the run, to write `not_finite.json` to.

    Raises:
      Diverged: the `with` block raised NotFinite or StateNotFinite.
    """
    try:
        yield
    except (NotFinite, StateNotFinite) as error:
        problem = error.problem
        if isinstance(error, NotFinite) and error.metric in METRIC_ORDER:
            with suppress(OSError):  # The first error matters more than a full disk.
                _write_not_finite_file(error, config, records, workdir)
                problem += f" ({workdir.not_finite_file} names the pairs of this step)"
        raise Diverged(problem, advise_lower_rate(workdir, config)) from error


def _write_not_finite_file(
    error: NotFinite, config: Config, records: Sequence[dict], workdir: Workdir
) -> None:
    # The key of the metric is "term", as in the files of earlier versions.
    content = {"step": error.step, "term": error.metric, "value": str(error.value)}
    content["pairs"] = batch_names(config, records, error.step - 1)
    write_atomically(workdir.not_finite_file, json.dumps(content, indent=2) + "\n")


def advise_lower_rate(workdir: Workdir, config: Config) -> str:
    """The end of an error line: how to continue with half of the learning rate.

    Args:
      workdir: the workdir of the run that has diverged.
      config: the config of that run.
    """
    rate = config.optimizer.learning_rate / 2
    slower = replace_fields(config, {"optimizer": {"learning_rate": rate}})
    flag, steps = format_flag("optimizer.learning_rate", rate), workdir.checkpoint_steps()
    if steps:
        return (
            f"to continue from step {steps[-1]} in a new run with a lower learning rate, run "
            f"{init_command(workdir, slower)}"
        )
    if not workdir.config_file.exists():
        return f"nothing was saved; run the same command with a lower learning rate: {flag}"
    other = shlex.quote(next_location(workdir))
    return f"no step was saved; run the same command with {flag} and --workdir={other}"


class CollapseWatch:
    """Warns if the discriminator's loss has been close to zero for many steps.

    After a warning, the next warning comes only if the loss has risen and has fallen again.
    """

    def __init__(self, gan: str):
        """Starts watching.

        Args:
          gan: the adversarial loss, `loss.gan`.
        """
        self._can_collapse = gan not in WITHOUT_COLLAPSE
        self._low_steps = 0  # the number of steps with a low loss, since the last high loss

    def update(self, step: int, losses: np.ndarray) -> None:
        """Checks the discriminator's losses since the last call of this method.

        Args:
          step: the number of completed steps.
          losses: [steps], one loss for each step; the last one is the loss of `step`.
        """
        has_warned = self._low_steps >= COLLAPSED_STEPS
        high = np.flatnonzero(losses >= COLLAPSED_LOSS)
        if high.size:
            self._low_steps = len(losses) - 1 - int(high[-1])
            has_warned = False
        else:
            self._low_steps += len(losses)
        if self._can_collapse and self._low_steps >= COLLAPSED_STEPS and not has_warned:
            self._warn(step)

    def _warn(self, step: int) -> None:
        say(
            f"step {step}: loss/discriminator has been under {COLLAPSED_LOSS} for "
            f"{self._low_steps:,} steps, so the generator learns from L1 alone; try a weaker "
            "discriminator (model.discriminator=patch34 or pixel, "
            "model.discriminator_features=32), loss.gan=lsgan, or more pairs",
            sys.stderr,
        )
