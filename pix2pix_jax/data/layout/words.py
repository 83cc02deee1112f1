"""Splits names of files and folders into words, so that names can be compared."""

import re
import unicodedata
from collections.abc import Sequence

from pix2pix_jax.suggestions import closest_name


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
    its beginning, or if they are spelled alike. The folders of a name may differ. Names with
    different numbers are not spelled alike.
    """
    words = set(drop_zeros(name))
    for start in (0, name.rfind("/") + 1):  # the whole name, then the name without its folders
        own = drop_zeros(name[start:])
        for is_near in (tuple.__eq__, _begins_or_ends):
            near = [
                other
                for other in names
                if is_near(own, drop_zeros(other if start == 0 else other.rpartition("/")[2]))
            ]
            if near:
                return max(near, key=lambda other: len(words & set(drop_zeros(other))))
    alike = [other for other in names if drop_numbers(other) != drop_numbers(name)]
    return closest_name(name, [other for other in alike if _may_have_numbers_of(name, other)])


def _begins_or_ends(one: tuple[str, ...], two: tuple[str, ...]) -> bool:
    """Whether the words of one name are the first or the last words of the other name."""
    short, long = sorted((one, two), key=len)
    return bool(short) and short in (long[: len(short)], long[-len(short) :])


def _may_have_numbers_of(one: str, two: str) -> bool:
    """Whether all numbers of one name are in the other name."""
    few, many = sorted((set(drop_zeros(n)) - set(drop_numbers(n)) for n in (one, two)), key=len)
    return few <= many
