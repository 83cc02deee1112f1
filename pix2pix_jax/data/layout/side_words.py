"""Knows the words by which people call the inputs and the targets of pairs."""

from enum import IntEnum

from pix2pix_jax.data.layout.words import drop_numbers, split_words

INPUT_WORDS = {
    *("input", "inputs", "source", "sources", "src", "image", "images", "img", "imgs", "photo"),
    *("photos", "picture", "pictures", "rgb", "noisy", "low", "lr", "lq", "before", "raw"),
}
TARGET_WORDS = {
    *("target", "targets", "output", "outputs", "dst", "mask", "masks", "label", "labels", "gt"),
    *("groundtruth", "truth", "annotation", "annotations", "annot", "seg", "segmentation"),
    *("clean", "high", "hr", "hq", "after", "depth", "edge", "edges", "sketch", "sketches"),
}


class Contrast(IntEnum):
    """How two names differ. The larger the number, the likelier they name the sides of pairs."""

    NUMBER = 1  # only in a number: seq1 and seq2
    WORD = 2
    ROLE = 3  # only one of them means inputs or targets, or both mean different sides


def contrast_of(one: str, two: str) -> Contrast:
    """How two names of files or folders differ."""
    if role_of_name(one) != role_of_name(two):
        return Contrast.ROLE
    return Contrast.WORD if drop_numbers(one) != drop_numbers(two) else Contrast.NUMBER


def role_of_name(name: str) -> str:
    """What a name probably means: "target", "input" or ""."""
    words = set(split_words(name))
    return "target" if words & TARGET_WORDS else "input" if words & INPUT_WORDS else ""
