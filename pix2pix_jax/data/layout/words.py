"""Splits names of files and folders into words, so that names can be compared."""

import re
import unicodedata
from collections.abc import Sequence

MAX_NAMED = 5  # a line names at most this number of files


def split_words(name: str) -> tuple[str, ...]:
    """The words and numbers of a name, in lower case: trainA_001 becomes train, a, 001."""
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", unicodedata.normalize("NFC", name))
    return tuple(word.casefold() for word in re.findall(r"\d+|[^\W\d_]+", name))


def drop_numbers(name: str) -> tuple[str, ...]:
    """The words of a name without its numbers."""
    return tuple(word for word in split_words(name) if not word.isdigit())


def fold_name(name: str) -> str:
    """The name without the differences between upper and lower case and between Unicode forms."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def name_some(names: Sequence[str]) -> str:
    """Names the first five, and counts the others: "a, b, c, d, e and 3 more"."""
    others = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {others} more" if others > 0 else "")
