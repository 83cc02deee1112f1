"""Derives numbers of a benchmark: quartiles, ratios to our step, shares of the machine's limits."""

from collections.abc import Sequence
from statistics import quantiles

from pix2pix_jax.reports.benchmark_tables import Measurements

OURS = "pix2pix_jax"  # the name of our implementation in the results


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile of at least one value."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high


def add_ratios(measurements: Measurements) -> Measurements:
    """Adds the ratio of each peer's time to our time: median and quartiles over all turns."""
    for name, result in measurements.items():
        if name != OURS and "turns" in result and "turns" in measurements[OURS]:
            turns = zip(result["turns"], measurements[OURS]["turns"], strict=True)
            low, result["ratio"], high = quartiles([theirs / ours for theirs, ours in turns])
            result["ratio_quartiles"] = [low, high]
    return measurements


def add_shares(measurements: Measurements) -> Measurements:
    """Adds the work per second of each part, and its share of the machine's limit.

    The rate of the part "matrix product" is the limit of operations, and the rate of the part
    "copy" is the limit of bytes.

    Args:
      measurements: for each part its `seconds`, and its work in a step if it is known: `images`,
        `operations` or `bytes`.
    """
    for row in measurements.values():
        for work in ("images", "operations", "bytes"):
            if work in row:
                row[f"{work}_per_second"] = row[work] / row["seconds"]
    max_operations = measurements["matrix product"]["operations_per_second"]
    max_bytes = measurements["copy"]["bytes_per_second"]
    for row in measurements.values():
        if "operations" in row:
            row["share"] = row["operations_per_second"] / max_operations
        elif "bytes" in row:
            row["share"] = row["bytes_per_second"] / max_bytes
    return measurements
