"""The table of metrics: name, label in tables, and which way is better."""

import math
from typing import NamedTuple


class MetricInfo(NamedTuple):
    """What there is to know of one beside how it is computed."""

    label: str  # in tables and charts
    higher_is_better: bool = True


METRICS = {  # in the order of tables
    "per_pixel_accuracy": MetricInfo("per-pixel accuracy"),
    "per_class_accuracy": MetricInfo("per-class accuracy"),
    "class_iou": MetricInfo("class IOU"),
    "l1": MetricInfo("L1", higher_is_better=False),
    "psnr": MetricInfo("PSNR (dB)"),
    "ssim": MetricInfo("SSIM"),
    "lab_l": MetricInfo("L histogram"),
    "lab_a": MetricInfo("a histogram"),
    "lab_b": MetricInfo("b histogram"),
}
FCN_SCORE = ("per_pixel_accuracy", "per_class_accuracy", "class_iou")
# Middles of the first and last bin of the histograms. Bins are one unit of Lab wide, and none has
# an edge at 0, where all greys lie.
LAB_RANGES = {"lab_l": (0, 100), "lab_a": (-110, 110), "lab_b": (-110, 110)}


def goodness(metric: str, scores: dict[str, float]) -> float:
    """Larger is better, whatever the metric; one that was not measured is the worst there is."""
    if metric not in scores:
        return -math.inf
    return scores[metric] if METRICS[metric].higher_is_better else -scores[metric]
