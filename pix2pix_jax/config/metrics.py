"""The table of all metrics, with their labels and units. `evaluation` computes the values.

To add a metric, add a row to METRICS, and follow `evaluation/__init__.py`.
"""

import math
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

SSIM_WINDOW = 11  # the side of the windows of SSIM, in pixels


class Metric(NamedTuple):
    """A metric of output images against target images.

    Attributes:
      label: the name of the metric in tables and charts.
      higher_is_better: False for an error or a distance.
      unit: the unit or the range of the values, for the axis of a chart.
      in_fcn_score: True if the metric compares the classes of pixels (section 4.1).
      lab_range: the centres of the first and last bin, for the intersection of two histograms in
        Lab (figure 7); None for all other metrics. Bins are one unit wide. 0 is the centre of a
        bin, because all greys have the value 0.
      infinite_if_equal: True if the metric of two equal images is infinite.
      min_side: the smallest side in pixels of an image that the metric can measure.
    """

    label: str
    higher_is_better: bool = True
    unit: str = "0 to 1"
    in_fcn_score: bool = False
    lab_range: tuple[int, int] | None = None
    infinite_if_equal: bool = False
    min_side: int = 1


METRICS = {  # in the order of all tables
    "per_pixel_accuracy": Metric("per-pixel accuracy", in_fcn_score=True),
    "per_class_accuracy": Metric("per-class accuracy", in_fcn_score=True),
    "class_iou": Metric("class IOU", in_fcn_score=True),
    "l1": Metric("L1", higher_is_better=False, unit="mean |difference|, 0 to 2"),
    "psnr": Metric("PSNR (dB)", unit="dB", infinite_if_equal=True),
    "ssim": Metric("SSIM", unit="-1 to 1", min_side=SSIM_WINDOW),
    "lab_l": Metric("L histogram", lab_range=(0, 100)),
    "lab_a": Metric("a histogram", lab_range=(-110, 110)),
    "lab_b": Metric("b histogram", lab_range=(-110, 110)),
}
LAB_RANGES = {name: metric.lab_range for name, metric in METRICS.items() if metric.lab_range}


def _check_name(name: Any) -> str:
    if not isinstance(name, str) or name not in METRICS:
        *names, last = [repr(known) for known in METRICS]
        expected = f"{', '.join(names)} or {last}"
        raise PydanticCustomError("metric", "Input should be {expected}", {"expected": expected})
    return name


# The type of a field whose value is a key of METRICS. For any other value, Pydantic raises an error
# that lists all names. `pix2pix fields` reads the names from the JSON schema.
MetricName = Annotated[
    str,
    BeforeValidator(_check_name),
    WithJsonSchema({"type": "string", "enum": list(METRICS)}),
]


def goodness(metric: str, scores: dict[str, float]) -> float:
    """A number that compares scores by a metric: a larger number is better.

    Args:
      metric: a key of METRICS.
      scores: values by metric.

    Returns:
      The value, negated if lower is better; minus infinity if the metric was not measured.
    """
    if metric not in scores:
        return -math.inf
    return scores[metric] if METRICS[metric].higher_is_better else -scores[metric]
