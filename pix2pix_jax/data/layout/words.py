"""Splits names of files and folders into words, so that names can be compared."""

import re
import unicodedata
from collections.abc import Sequence

from pix2pix_jax.suggestions import closest_name

MAX_NAMED = 5  # a line names at most this number of files
FEW_NAMED = 2  # at most this number of files in lines with two lists or long entries


def split_words(name: str) -> tuple[str, ...]:
    """The words and numbers of a name, in lower case: trainA_001 becomes train, a, 001."""
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", unicodedata.normalize("NFC", name))
    return tuple(word.casefold() for word in re.findall(r"\d+|[^\W\d_]+", name))


def drop_numbers(name: str) -> tuple[str, ...]:
    """The words of a name without its numbers."""
    return tuple(word for word in split_words(name) if not word.isdigit())


def drop_zeros(name: str) -> tuple[str, ...]:
    """The words of a name, and its numbers without leading zeros."""
    return tuple(word.lstrip("0") if word.isdigit() else word for word in split_words(name))


def fold_name(name: str) -> str:
    """The name without the differences between upper and lower case and between Unicode forms."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def nearest_name(name: str, names: Sequence[str]) -> str | None:
    """The name that is probably meant by another name; None if no name is near enough.

    Names are near if they differ by leading zeros, if one of them has more words at its end or at
    its beginning, or if they are spelled alike. Names that differ only by a number are not near.
    """
    words, numbers = split_words(name), drop_zeros(name)
    for other in names:
        if drop_zeros(other) == numbers:
            return other
    for other in names:
        short, long = sorted((words, split_words(other)), key=len)
        if short and short in (long[: len(short)], long[-len(short) :]):
            return other
    unlike = [other for other in names if drop_numbers(other) != drop_numbers(name)]
    return closest_name(name, unlike)


def name_some(names: Sequence[str], most: int = MAX_NAMED, count: int | None = None) -> str:
    """Names the first few, and counts the others: "a, b, c, d, e and 3 more".

    Args:
      names: the names, or at least the first of them.
      most: at most this number of names is named.
      count: the number of all names; None: `names` has all of them.
    """
    others = (len(names) if count is None else count) - most
    return ", ".join(names[:most]) + (f" and {others} more" if others > 0 else "")
