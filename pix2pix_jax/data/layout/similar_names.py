"""Finds names in one folder that differ only by a word, as in 1_photo.png and 1_mask.png."""

from collections import Counter
from collections.abc import Container

from pix2pix_jax.data.layout.common_names import MAX_SIDES
from pix2pix_jax.data.layout.roles import SourceImage
from pix2pix_jax.data.layout.words import split_words

Words = tuple[str, ...]
Name = tuple[Words, Words]  # the folders above an image, and the words of its stem
MAX_WORDS = 24  # at most this number of words is tried
MAX_TRIED = 200  # each word is replaced in at most this number of names
MAX_COUNTED = 10_000  # at most this number of names is used to count words
# A word of a side is in at least MIN_SHARE and at most MAX_SHARE of the names.
MIN_SHARE, MAX_SHARE = 0.01, 0.99


def find_similar_names(images: list[SourceImage]) -> tuple[SourceImage, SourceImage] | None:
    """Finds a word that can take the place of another word in at least half of the names with it.

    Returns:
      Two example images whose names differ by this word; None if there is no such word. Of several
      words, the one with the most names wins.
    """
    by_name = {(image.folders, split_words(image.path.stem)): image for image in images}
    names = list(by_name)
    words = _frequent_words(names[:: len(names) // MAX_COUNTED + 1])
    best: list[tuple[Name, Name]] = []
    for old in words:
        having = [name for name in names if _position(name[1], old) is not None]
        tried = having[:: len(having) // MAX_TRIED + 1]
        others = [new for new in [*words, ()] if not set(new) & set(old)]
        found = [_find_replaced(tried, old, new, by_name) for new in others]
        enough = [pairs for pairs in found if _is_enough(pairs, len(tried), len(names))]
        # If many words can replace each other, they number the images and do not name sides.
        if len(enough) < MAX_SIDES:
            best = max([best, *enough], key=len)
    return (by_name[best[0][0]], by_name[best[0][1]]) if best else None


def _find_replaced(
    tried: list[Name], old: Words, new: Words, known: Container[Name]
) -> list[tuple[Name, Name]]:
    """The names that become another known name if `new` takes the place of `old`."""
    replaced = [(name, _replace(name, old, new)) for name in tried]
    return [(name, other) for name, other in replaced if other in known]


def _frequent_words(names: list[Name]) -> list[Words]:
    """The runs of one to four words that are in a part of the names, the most frequent first.

    Numbers alone are not words of a side. A run of several words ends the name or begins it.
    """
    counts: Counter[Words] = Counter()
    for _, words in names:
        runs = {(word,) for word in words}
        for length in (2, 3, 4):
            runs |= {words[-length:], words[:length]} if len(words) > length else set()
        counts.update(run for run in runs if not all(word.isdigit() for word in run))
    least, most = max(1, MIN_SHARE * len(names)), MAX_SHARE * len(names)
    frequent = [run for run, count in counts.most_common() if least <= count <= most]
    return frequent[:MAX_WORDS]


def _position(words: Words, run: Words) -> int | None:
    """The index of the last occurrence of a run of words; None if there is none."""
    places = range(len(words) - len(run), -1, -1)
    return next((i for i in places if words[i : i + len(run)] == run), None)


def _replace(name: Name, old: Words, new: Words) -> Name:
    """Replaces a run of words in the name of an image; its folders stay."""
    folders, words = name
    i = _position(words, old)
    assert i is not None
    return folders, words[:i] + new + words[i + len(old) :]


def _is_enough(pairs: list[tuple[Name, Name]], tried: int, total: int) -> bool:
    """Whether the replaced word is probably the word of a side.

    At least half of the tried names must have a partner.
    """
    if 2 * len(pairs) < tried or not pairs:
        return False
    (_, first), (_, second) = pairs[0]
    # With a single pair of names, their common part must not be empty: a.png and b.png.
    return len(pairs) > 1 or (total == 2 and bool(set(first) & set(second)))
