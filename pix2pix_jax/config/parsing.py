"""Values of fields from the text of flags, and the first error of Pydantic as one line."""

import re
from typing import Any

from pydantic import ValidationError


def parse_numbers(value: Any) -> Any:
    """Turns the text of a flag, "256", "256,512" or "(256, 512)", into a tuple of numbers."""
    if isinstance(value, str) and re.fullmatch(r"[\d\s,x()\[\]]+", value):
        return tuple(int(number) for number in re.findall(r"\d+", value))
    return value


def parse_size(value: Any) -> Any:
    """Turns one number into a height and an equal width."""
    value = parse_numbers(value)
    sides = value if isinstance(value, list | tuple) else (value,)
    return tuple(sides) * 2 if len(sides) == 1 else sides


def parse_none(value: Any) -> Any:
    """Turns the text "None", or no text, into None."""
    return None if value in ("None", "none", "") else value


def first_error(error: ValidationError) -> str:
    """The first error of Pydantic as `data.batch_size: input should be ..., not 'four'`."""
    first = error.errors()[0]
    complaint = first["msg"][0].lower() + first["msg"][1:]
    field = ".".join(part for part in first["loc"] if isinstance(part, str))
    # An error without a field is about the whole file, which is too long to quote.
    return f"{field}: {complaint}, not {first['input']!r}" if field else complaint
