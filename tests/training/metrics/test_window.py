"""Sums of metrics do not depend on the number of steps in a call, nor on interruptions."""

import numpy as np
import pytest

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.step import METRIC_ORDER
from pix2pix_jax.training.metrics.window import MetricWindow


def test_sums_have_the_same_bits_for_all_numbers_of_steps_in_a_call():
    values = np.random.default_rng(0).uniform(0, 1, 12).astype(np.float32)
    one_window, totals = MetricWindow(), None
    one_window.add({"loss/generator_l1": values})
    one_window.read(12)
    for start, stop in ((0, 1), (1, 5), (5, 12)):
        window = MetricWindow(totals)  # as in a resumed run
        window.add({"loss/generator_l1": values[start : start + 1]})
        window.add({"loss/generator_l1": values[start + 1 : stop]})
        read = window.read(stop)
        np.testing.assert_array_equal(read["loss/generator_l1"], values[start:stop])
        totals = window.totals
    assert totals == one_window.totals
    assert one_window.totals.steps == 12
    assert one_window.means().keys() == {"loss/generator_l1"}
    np.testing.assert_allclose(one_window.means()["loss/generator_l1"], values.mean(), rtol=1e-6)


def test_the_error_names_the_first_step_and_metric_that_is_not_finite():
    """Metrics have the order in which they are computed: a gradient comes after its loss."""
    bad, good = np.array([np.inf, np.nan]), np.ones(2)
    for names, expected in (
        (("gradient/generator", "loss/generator_l1"), "loss/generator_l1"),
        (("gradient/generator", "gradient/discriminator"), "gradient/discriminator"),
    ):
        window = MetricWindow()
        window.add(dict.fromkeys(METRIC_ORDER, good))
        window.add(dict.fromkeys(METRIC_ORDER, good) | dict.fromkeys(names, bad))
        with pytest.raises(UsageError, match=f"step 103: {expected} is inf"):
            window.read(104)


def test_a_second_read_adds_only_the_metrics_after_the_first_read():
    window = MetricWindow()
    for step in (1, 2):
        window.add({"loss/generator_l1": np.ones(1)})
        window.read(step)
    assert window.totals == Totals(2, {"loss/generator_l1": 2.0})
