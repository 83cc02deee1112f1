"""Adds up the metrics since the last log line at a multiple of train.log_every."""

import jax
import numpy as np

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.gan.step import METRIC_ORDER, Metrics
from pix2pix_jax.training.divergence import check_finite


class MetricWindow:
    """Sums of the metrics over the steps of a window. `clear` starts the next window.

    Steps are added one by one, so the bits of a sum depend neither on the number of steps in a call
    to the devices nor on interruptions of the run.
    """

    def __init__(self, totals: Totals | None = None):
        """Starts a window, or resumes a window from the totals in a checkpoint."""
        totals = totals or Totals()
        self._steps, self._sums = totals.steps, dict(totals.sums)
        self._unread: list[Metrics] = []

    def add(self, metrics: Metrics) -> None:
        """Stores the metrics [steps] of a call to the devices, without waiting for them."""
        self._unread.append(metrics)

    def read(self, step: int) -> dict[str, np.ndarray]:
        """Waits for the metrics that were added since the last `read`, and adds them to the sums.

        Args:
          step: the number of completed steps.

        Returns:
          The values of each metric since the last `read`, [steps].

        Raises:
          NotFinite: a value is not finite. The error names the first step with such a value, and
            the first metric with such a value in METRIC_ORDER.
        """
        fetched = jax.device_get(self._unread)
        self._unread.clear()
        joined = {name: np.concatenate([call[name] for call in fetched]) for name in fetched[0]}
        is_finite = np.all([np.isfinite(values) for values in joined.values()], axis=0)  # [steps]
        if not is_finite.all():
            index = int(np.argmin(is_finite))
            for name in sorted(joined, key=METRIC_ORDER.index):
                check_finite(step - len(is_finite) + index + 1, name, joined[name][index])
        self._steps += len(is_finite)
        for name, values in joined.items():
            self._sums[name] = sum(values.tolist(), self._sums.get(name, 0.0))
        return joined

    @property
    def totals(self) -> Totals:
        """A copy of the sums, to save in a checkpoint."""
        return Totals(self._steps, dict(self._sums))

    def means(self) -> dict[str, float]:
        """The mean of every metric over the steps of the window."""
        return {name: total / self._steps for name, total in self._sums.items()}

    @property
    def metric_names(self) -> frozenset[str]:
        """The names of the metrics that have a sum."""
        return frozenset(self._sums)

    def clear(self) -> None:
        """Starts a new window, with no steps."""
        self._steps = 0
        self._sums.clear()
