"""Reads and rewinds metrics.jsonl, the log of a run, which has a JSON object for each logged step.

A line has the key `step` and some of the run's metrics. Only the lines at multiples of
`train.log_every` and the line of the last step have the means of losses, logits and gradients.
"""

import json
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pix2pix_jax.runtime.storage.files import write_atomically

LINE = TypeAdapter(dict[str, int | float])


def rewind(path: Path, step: int, unfinished: frozenset[str] = frozenset()) -> None:
    """Drops the lines after a step, and all lines that are damaged.

    Args:
      path: the path of a metrics.jsonl, which need not exist.
      step: the step from which the run resumes.
      unfinished: metrics that are averaged over a window of steps that ends after `step`. A run
        that ended at `step` has written their means over a part of the window. These means are
        dropped, so that the file equals the file of a run without an interruption.
    """
    lines = [line for line in read_metrics(path) if line["step"] <= step]
    for line in lines:
        if line["step"] == step:
            for name in unfinished & line.keys():
                del line[name]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    # An unchanged file is not written again, because the disk may be full.
    if path.exists() and path.read_bytes() != text.encode():
        write_atomically(path, text)


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Reads a metrics.jsonl, without its damaged lines; an empty list if there is no file."""
    lines = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        with suppress(ValidationError):  # After a power cut, a line may be incomplete.
            lines.append(LINE.validate_json(line, strict=True))
    return [line for line in lines if "step" in line]
