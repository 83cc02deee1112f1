"""Turns the text of flags into values of fields, and an error of Pydantic into one line."""

import re
from typing import Any

from pydantic import ValidationError

from pix2pix_jax.errors import closest_name


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


# What is wrong with a value, and the fix, by the type of Pydantic's error. {value} is the value
# that was given, {required} the number of values that the field needs; Pydantic sets the rest.
COMPLAINTS = {
    **dict.fromkeys(
        ("int_parsing", "int_type", "int_from_float", "int_parsing_size"),
        "{value} is not a whole number; give a whole number",
    ),
    **dict.fromkeys(("float_parsing", "float_type"), "{value} is not a number; give a number"),
    **dict.fromkeys(
        ("bool_parsing", "bool_type"),
        "{value} is neither true nor false; give True or False, in config.json true or false",
    ),
    "finite_number": "{value} is not finite; give a finite number",
    "greater_than": "{value} is too small; give a number above {gt}",
    "greater_than_equal": "{value} is too small; give a number of at least {ge}",
    "less_than": "{value} is too large; give a number below {lt}",
    "less_than_equal": "{value} is too large; give a number of at most {le}",
    "string_type": "{value} is not text; put the value in quotes",
    "tuple_type": "{value} is not valid; give whole numbers with commas between them",
    "too_long": "{value} has {actual_length} numbers; give {max_length} numbers",
    "missing": "{value} has too few numbers; give {required} numbers",
    "literal_error": "{value} is not valid; give {expected}",
    "metric": "{value} is not valid; give {expected}",
    "dataclass_type": "{value} is not a group of fields; give {class_name}(FIELD=VALUE)",
}


def first_error(error: ValidationError) -> str:
    """The first error of Pydantic, as `data.batch_size: 'four' is not a whole number; give ...`.

    The line names the closest field if a field is unknown, and the closest value if the value of
    a field is misspelt.
    """
    first = error.errors()[0]
    if first["type"] == "unexpected_positional_argument":
        return f"{error.title} takes no value without a name; give {error.title}(FIELD=VALUE)"
    field = ".".join(part for part in first["loc"] if isinstance(part, str))
    if not field:  # The error is about the whole file, which is too long to quote.
        place = re.search(r"line \d+ column \d+", str(first.get("ctx", {}).get("error")))
        reason = f"not valid JSON at {place[0]}" if place else "the file has no fields"
        return f"is not a config ({reason}); restore this file, or give another --workdir"
    # The title is "Data" if, for example, an experiment file calls Data(batch_size=0).
    if error.title != "Config":
        field = f"{error.title.lower()}.{field}"
    if first["type"] == "unexpected_keyword_argument":
        # `schema` imports this module, so this module cannot import `schema` at its top.
        from pix2pix_jax.config.schema import field_names

        return f"{field}: unknown field; {suggest_field(field, field_names())}"
    value, context = first["input"], first.get("ctx", {})
    if first["type"] == "missing":  # Pydantic reports one error for each missing number.
        places = [other["loc"][:-1] for other in error.errors()]
        context = {"required": len(value) + places.count(first["loc"][:-1])}
    complaint = COMPLAINTS.get(first["type"], "{value} is not valid; give a value of another type")
    line = complaint.format(value=f"{value!r:.60}", **context)
    # Literal and METRICS quote all values that they accept.
    accepted = re.findall("'([^']*)'", str(context.get("expected", "")))
    near = closest_name(value, accepted) if isinstance(value, str) else None
    return f"{field}: {line}" + (f"; did you mean {near!r}?" if near else "")


def suggest_field(name: str, names: list[str]) -> str:
    """The end of the error line for an unknown field: the closest field, or else all fields."""
    near = closest_name(name, names)
    return f"did you mean {near}?" if near else f"give one of {', '.join(names)}"
