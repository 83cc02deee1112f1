"""Numbers of a benchmark: quartiles, ratios to our own step, shares of the machine's limits."""

from collections.abc import Sequence
from statistics import quantiles
from typing import Any

OURS = "pix2pix_jax"  # the name of our implementation in the results
Measurements = dict[str, dict[str, Any]]  # by implementation, or by part of a step


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile of at least one value."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high


def add_ratios(found: Measurements) -> Measurements:
    """Adds to each peer its time divided by ours, turn by turn: the median and the quartiles."""
    for name, result in found.items():
        if name != OURS and "turns" in result and "turns" in found[OURS]:
            turns = zip(result["turns"], found[OURS]["turns"], strict=True)
            low, result["ratio"], high = quartiles([theirs / ours for theirs, ours in turns])
            result["ratio_quartiles"] = [low, high]
    return found


def add_shares(found: Measurements) -> Measurements:
    """Adds the work per second of each part, and its share of the machine's limit.

    The matrix product's rate is the limit of operations, the copy's rate the limit of bytes.

    Args:
      found: `seconds` of every part, and those of `images`, `operations` and `bytes` that it has.
    """
    for row in found.values():
        for work in ("images", "operations", "bytes"):
            if work in row:
                row[f"{work}_per_second"] = row[work] / row["seconds"]
    max_operations = found["matrix product"]["operations_per_second"]
    max_bytes = found["copy"]["bytes_per_second"]
    for row in found.values():
        if "operations" in row:
            row["share"] = row["operations_per_second"] / max_operations
        elif "bytes" in row:
            row["share"] = row["bytes_per_second"] / max_bytes
    return found
