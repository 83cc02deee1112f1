"""Turns the text of flags into values of fields, and an error of Pydantic into one line."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError


def parse_numbers(value: Any) -> Any:
    """Turns the text of a flag, "256", "256,512" or "(256, 512)", into a tuple of numbers."""
    if isinstance(value, str) and re.fullmatch(r"[\d\s,x()\[\]]+", value):
        return tuple(int(number) for number in re.findall(r"\d+", value))
    return value


def parse_size(value: Any) -> Any:
    """Turns a size, such as 256, "256" or "256x512", into a height and a width."""
    value = parse_numbers(value)
    sides = value if isinstance(value, list | tuple) else (value,)
    return tuple(sides) * 2 if len(sides) == 1 else sides


def parse_none(value: Any) -> Any:
    """Turns the texts "None", "none" and "" into None; returns other values unchanged."""
    return None if value in ("None", "none", "") else value


def closest_name(name: str, names: Iterable[str]) -> str | None:
    """The most similar of several names; None if no name is similar."""
    return next(iter(difflib.get_close_matches(name, names, 1)), None)


def first_error(error: ValidationError) -> str:
    """The first error of Pydantic as `data.batch_size: input should be ..., not 'four'`.

    The line names the closest field if a field is unknown, and the closest value if the value of
    a field is misspelt.
    """
    first = error.errors()[0]
    complaint, value = first["msg"][0].lower() + first["msg"][1:], first["input"]
    field = ".".join(part for part in first["loc"] if isinstance(part, str))
    if not field:  # The error is about the whole file, which is too long to quote.
        return complaint
    if first["type"] == "unexpected_keyword_argument":
        # `schema` imports this module, so this module cannot import `schema` at its top.
        from pix2pix_jax.config.schema import field_names

        names = field_names()
        if "." not in field:  # Data(batch_sise=4) in an experiment file
            names = [name.rpartition(".")[2] for name in names]
        return f"{field}: unknown field; {suggest_field(field, names)}"
    # Literal and METRICS quote all values that they accept.
    accepted = re.findall("'([^']*)'", first.get("ctx", {}).get("expected", ""))
    near = closest_name(value, accepted) if isinstance(value, str) else None
    return f"{field}: {complaint}, not {value!r}" + (f"; did you mean {near!r}?" if near else "")


def suggest_field(name: str, names: list[str]) -> str:
    """The end of the error line for an unknown field: the closest field, or else all fields."""
    near = closest_name(name, names)
    return f"did you mean {near}?" if near else f"give one of {', '.join(names)}"
