"""Functions that parse the values of flags."""

import argparse
from pathlib import Path

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage.files import explain_not_utf8, is_address, is_utf8, local_path


def parse_experiment_flag(text: str) -> str:
    """Parses FILE or FILE:ARG, the name of an experiment."""
    # The text is empty if, for example, a shell variable is not set.
    if not text:
        raise argparse.ArgumentTypeError(
            "is empty; give an experiment, e.g. --config=experiments/quickstart.py"
        )
    return text


def parse_path(text: str) -> Path:
    """Parses a path on this machine.

    Expands "~" at the start, because shells do not expand the "~" in `--workdir=~/run`.
    """
    if not text:  # Path("") would be the current folder.
        raise argparse.ArgumentTypeError("is empty; give a path")
    if is_address(text):
        raise argparse.ArgumentTypeError(f"{text} is an address; give a path on this machine")
    try:
        return local_path(text)
    except UsageError as error:  # argparse adds the name of the flag to this error.
        raise argparse.ArgumentTypeError(str(error)) from error


def parse_workdir(text: str) -> Workdir:
    """Parses the path of a workdir, or its address gs://BUCKET/DIR."""
    _check_utf8(text)
    if not text.startswith("gs://"):
        return Workdir(parse_path(text))
    if "/" not in text.removeprefix("gs://").rstrip("/"):
        raise argparse.ArgumentTypeError(
            f"{text} names no folder of the bucket; give gs://BUCKET/DIR"
        )
    try:
        return Workdir.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parse_init(text: str) -> str:
    """Parses --init; the text is empty if, for example, a shell variable is not set."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; give the workdir of a run, or leave out --init")
    _check_utf8(text)
    return text


def _check_utf8(text: str) -> None:
    """Raises ArgumentTypeError if the name of a file or folder is not UTF-8."""
    if not is_utf8(text):
        problem, fix = explain_not_utf8("use another name")
        raise argparse.ArgumentTypeError(f"{text} has a name that is {problem}; {fix}")


def parse_uint32(text: str) -> int:
    """Parses an integer from 0 to 2**32 - 1."""
    number = _parse_decimal(text)
    if number is None or number >= 2**32:
        raise argparse.ArgumentTypeError(
            f"{_quote(text)} is not valid; give an integer from 0 to 4294967295"
        )
    return number


def parse_port(text: str) -> int:
    """Parses a TCP port, 0 to 65535."""
    number = _parse_decimal(text)
    if number is None or number > 65535:
        raise argparse.ArgumentTypeError(
            f"{_quote(text)} is not a port; give an integer from 0 to 65535"
        )
    return number


def parse_positive(text: str) -> int:
    """Parses an integer above 0."""
    number = _parse_decimal(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{_quote(text)} is not valid; give an integer above 0")
    return number


def parse_step(text: str) -> int | str:
    """Parses the step of a checkpoint: a number, "newest" or "best"."""
    number = _parse_decimal(text)
    if number is not None:
        return number
    if text not in ("newest", "best"):
        raise argparse.ArgumentTypeError(
            f"{_quote(text)} is not a step; give a number, newest or best"
        )
    return text


def parse_names(text: str) -> list[str]:
    """Parses names with commas between them; spaces around a name are left out."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _parse_decimal(text: str) -> int | None:
    """Parses an integer of at most 18 digits; None for any other text."""
    return int(text) if text.isdecimal() and len(text) <= 18 else None


def _quote(text: str) -> str:
    """The beginning of a text; an empty text gets quotes, so that it is visible."""
    return f"{text:.60}" if text.strip() else repr(text)
