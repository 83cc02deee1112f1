"""The table of metrics: every metric is computed, and can decide which checkpoint is best."""

import numpy as np
import pytest
from pydantic import ValidationError

from pix2pix_jax.config import Config
from pix2pix_jax.config.files import override
from pix2pix_jax.config.metrics import LAB_RANGES, METRICS
from pix2pix_jax.config.schema import Train
from pix2pix_jax.config.validation_errors import first_error
from pix2pix_jax.evaluation.fcn_score import fcn_score
from pix2pix_jax.evaluation.pair_metrics import PAIR_METRICS


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_can_decide_which_checkpoint_is_best(name):
    assert override(Config(), {"train.best_metric": name}).train.best_metric == name


@pytest.mark.parametrize("value", ["fid", 3, None, ["l1"]])
def test_an_unknown_best_metric_is_refused_with_all_names(value):
    names = ", ".join(map(repr, METRICS)).replace(", 'lab_b'", " or 'lab_b'")
    with pytest.raises(ValidationError) as error:
        Train(best_metric=value)
    problem, fix = first_error(error.value)
    assert problem == f"train.best_metric: {value!r} is not valid"
    assert fix == f"give {names}"


def test_every_metric_of_the_table_is_computed():
    fcn_scores = [name for name, metric in METRICS.items() if metric.in_fcn_score]
    assert fcn_scores == ["per_pixel_accuracy", "per_class_accuracy", "class_iou"]
    assert LAB_RANGES == {"lab_l": (0, 100), "lab_a": (-110, 110), "lab_b": (-110, 110)}
    assert [name for name in METRICS if not METRICS[name].higher_is_better] == ["l1"]
    computed = {*PAIR_METRICS, *LAB_RANGES, *fcn_score(np.eye(2))}
    assert computed == set(METRICS)
