"""Lines for whoever watches; a command goes on when nobody does any more."""

from contextlib import suppress
from typing import TextIO

from tqdm import tqdm


def say(text: str) -> None:
    """A line."""
    with suppress(OSError):
        print(text, flush=True)


def plural(number: int, thing: str) -> str:
    """As many things as there are, one in the singular."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def print_above_bar(text: object, file: TextIO) -> None:
    """A line beside a progress bar."""
    with suppress(OSError):
        tqdm.write(str(text), file=file)
        file.flush()
