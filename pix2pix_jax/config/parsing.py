"""Turns the text of flags into values of fields."""

import re
from typing import Any


def parse_numbers(value: Any) -> Any:
    """Turns a text such as "256,512" or "(256, 512)" into numbers; keeps other values unchanged."""
    if isinstance(value, str) and re.fullmatch(r"[\s,x()\[\]]*\d[\d\s,x()\[\]]*", value):
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
