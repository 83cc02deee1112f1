"""Turns an error of Pydantic about a field into one line.

The line is in the syntax in which the user wrote the value: a flag, Python or JSON.
"""

import json
import re
from enum import Enum
from typing import Any, NamedTuple

from pydantic import ValidationError

from pix2pix_jax.suggestions import closest_field, closest_name, give_one_of

MAX_VALUE = 60  # the most characters of a value that an error line quotes


class Language(Enum):
    """The syntax in which the user wrote a value; the fix has the same syntax."""

    FLAG = "flag"
    PYTHON = "Python"
    JSON = "JSON"


# What is wrong with a value, and the fix, by the type of Pydantic's error. {value} is the value
# that was given, {required} the number of values that the field needs; {yes}, {no}, {quotes},
# {numbers} and {group} are words of the language; Pydantic sets the rest.
COMPLAINTS = {
    **dict.fromkeys(
        ("int_parsing", "int_type", "int_from_float"),
        "{value} is not a whole number; give a whole number",
    ),
    **dict.fromkeys(("float_parsing", "float_type"), "{value} is not a number; give a number"),
    **dict.fromkeys(
        ("bool_parsing", "bool_type"), "{value} is neither true nor false; give {yes} or {no}"
    ),
    "finite_number": "{value} is not finite; give a finite number",
    "greater_than": "{value} is too small; give a number above {gt}",
    "greater_than_equal": "{value} is too small; give a number of at least {ge}",
    "less_than": "{value} is too large; give a number below {lt}",
    "less_than_equal": "{value} is too large; give a number of at most {le}",
    "string_type": "{value} is not text; put the value in {quotes}",
    "tuple_type": "{value} is not valid; give {numbers}",
    "too_long": "{value} has {actual_length} numbers; give {max_length} numbers",
    "missing": "{value} has too few numbers; give {required} numbers",
    "literal_error": "{value} is not valid; give {expected}",
    "metric": "{value} is not valid; give {expected}",
    **dict.fromkeys(
        ("int_parsing_size", "value_error"),
        "{value} is too large; give a number with fewer digits",
    ),
    "dataclass_type": "{value} is not a group of fields; give {group}",
}
PYTHON_WORDS = {
    "yes": "True",
    "no": "False",
    "quotes": "quotes",
    "numbers": "whole numbers with commas between them",
}
WORDS = {
    Language.FLAG: PYTHON_WORDS,
    Language.PYTHON: PYTHON_WORDS,
    Language.JSON: {
        "yes": "true",
        "no": "false",
        "quotes": "double quotes",
        "numbers": "whole numbers in brackets, such as [256, 256]",
    },
}


class ProblemAndFix(NamedTuple):
    """What is wrong, and what to do about it."""

    problem: str
    fix: str


def first_error(error: ValidationError, language: Language = Language.PYTHON) -> ProblemAndFix:
    """Explains the first error of Pydantic, for example `data.flip: 4 is not valid`.

    The fix names the closest field if a field is unknown, and the closest value if the value of a
    field is misspelt.

    Args:
      error: the error of a Config or of one of its groups.
      language: the language in which the values were written.
    """
    first = error.errors()[0]
    if first["type"] == "unexpected_positional_argument":
        problem = f"{error.title} takes no value without a name"
        return ProblemAndFix(problem, f"give {error.title}(FIELD=VALUE)")
    field = ".".join(part for part in first["loc"] if isinstance(part, str))
    if not field:  # The error is about the whole file, which is too long to quote.
        place = re.search(r"line \d+ column \d+", str(first.get("ctx", {}).get("error")))
        reason = f"not valid JSON at {place[0]}" if place else "the file has no fields"
        return ProblemAndFix(f"is not a config ({reason})", "correct this file")
    # The title is "Data" if, for example, an experiment file calls Data(batch_size=0).
    if error.title != "Config":
        field = f"{error.title.lower()}.{field}"
    if first["type"] == "unexpected_keyword_argument":
        # `fields` imports this module, so this module cannot import `fields` at its top.
        from pix2pix_jax.config.fields import field_names

        names = field_names()
        near = closest_field(field, names)
        if language is Language.JSON and near and len(first["loc"]) == 1 and "." in near:
            path, _, value = near.partition("=")
            group, _, name = path.partition(".")
            value = (
                json.dumps({"True": True, "False": False}.get(value, value)) if value else "VALUE"
            )
            fix = f'did you mean {{"{group}": {{"{name}": {value}}}}}?'
            return ProblemAndFix(f"{field}: unknown field", fix)
        return ProblemAndFix(f"{field}: unknown field", suggest_field(field, names))
    problem, fix = _explain_value(error, language)
    return ProblemAndFix(f"{field}: {problem}", fix)


def _explain_value(error: ValidationError, language: Language) -> ProblemAndFix:
    """Explains what is wrong with the value of the first error, without the name of the field."""
    first = error.errors()[0]
    value, context = first["input"], dict(first.get("ctx", {}))
    if first["type"] == "missing":  # Pydantic reports one error for each missing number.
        places = [other["loc"][:-1] for other in error.errors()]
        context["required"] = len(value) + places.count(first["loc"][:-1])
    context["group"] = f"{context.get('class_name')}(FIELD=VALUE)"
    # Literal and METRICS quote all values that they accept.
    accepted = re.findall("'([^']*)'", str(context.get("expected", "")))
    if language is Language.JSON:
        context["group"] = '{"FIELD": VALUE}'
        context["expected"] = str(context.get("expected")).replace("'", '"')
    template = COMPLAINTS.get(first["type"], "{value} is not valid; give a value of another type")
    words = WORDS[language] | context | {"value": _quote(value, language)}
    problem, fix = (part.format_map(words) for part in template.split("; "))
    near = closest_name(value, accepted) if isinstance(value, str) else None
    return ProblemAndFix(
        problem, fix + (f"; did you mean {_quote(near, language)}?" if near else "")
    )


def _quote(value: Any, language: Language) -> str:
    """The beginning of a value, as the user wrote it."""
    try:
        text = json.dumps(value) if language is Language.JSON else repr(value)
    except Exception:  # json and repr can fail for a huge number or an object of the user's class.
        return f"this {type(value).__name__}"
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 4]} ..."


def suggest_field(name: str, names: list[str]) -> str:
    """The end of the error line for an unknown field: the closest field, or else where to look."""
    if near := closest_field(name, names):
        return f"did you mean {near}?"
    group = name.partition(".")[0]
    own = [known for known in names if known.startswith(f"{group}.")]
    if own:
        return give_one_of(own)
    return "give a field that `pix2pix fields` lists"
