"""Prints lines and progress bars for the user. A closed terminal causes no error."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

from tqdm import tqdm

from pix2pix_jax.errors import escape_control_characters

MAX_NAMED = 5  # a line names at most this number of files
FEW_NAMED = 2  # at most this number of files in lines with two lists or long entries


def say(text: object, file: TextIO | None = None) -> None:
    """Prints a line, above the progress bar if there is one.

    Args:
      text: the line. Control characters are escaped, because file names may contain them.
      file: sys.stderr for an error; None: sys.stdout.
    """
    stream = sys.stdout if file is None else file
    with suppress(OSError):
        tqdm.write(escape_control_characters(str(text)), file=stream)
        stream.flush()


def progress_bar(items: Any = None, **options: Any) -> tqdm:
    """A progress bar on stderr; nothing is drawn if stderr is not a terminal.

    Args:
      items: the items to iterate over, as in tqdm; None if the caller updates the bar.
      options: the other arguments of tqdm.
    """
    return tqdm(items, disable=not sys.stderr.isatty(), **options)


def plural(count: float, noun: str) -> str:
    """A count with its noun, for example "1 image", "1,000 images" or "0.5 epochs"."""
    number = f"{count:,}" if isinstance(count, int) else f"{count:,g}"
    return f"{number} {noun}{'' if count == 1 else 's'}"


def some_of(count: int, total: int, noun: str) -> str:
    """A part of a set, for example "2 of 10 pairs", "all 10 pairs" or "the only pair"."""
    if count < total:
        return f"{count:,} of {plural(total, noun)}"
    return f"the only {noun}" if total == 1 else f"all {plural(total, noun)}"


def join_names(names: Sequence[str], last: str = "and") -> str:
    """Joins names as in a sentence: "a, b and c"."""
    *first, end = names
    return f"{', '.join(first)} {last} {end}" if first else end


def name_some(names: Sequence[str], most: int = MAX_NAMED, count: int | None = None) -> str:
    """Names the first few, and counts the others: "a, b, c, d, e and 3 more".

    Args:
      names: the names, or at least the first of them.
      most: at most this number of names is named.
      count: the number of all names; None: `names` has all of them.
    """
    others = (len(names) if count is None else count) - most
    return ", ".join(names[:most]) + (f" and {others} more" if others > 0 else "")


def format_speed(per_second: float, noun: str) -> str:
    """A speed, such as "2.50 steps/s", or "4.0 s per step" where a step takes over a second."""
    if per_second < 1:
        return f"{1 / per_second:,.1f} s per {noun}"
    return f"{per_second:,.2f} {noun}s/s"


def format_duration(seconds: float) -> str:
    """Formats a duration in one or two units, such as 40 s, 12 min, 3 h 5 min, or 2 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 60 * 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
