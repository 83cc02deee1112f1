"""The list of all fields with their types, defaults and meanings, from the schema itself."""

import json
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from pix2pix_jax.cli.flags.schema_source import read_comments

WIDTH = 100  # the longest line of the list, in characters
MAX_COUNT = 2**31 - 1  # the limit of numbers of images or steps, which the list does not mention


@dataclass(frozen=True)
class FieldRow:
    """A field of an experiment.

    Attributes:
      name: "seed" or GROUP.FIELD.
      type: the values that the field accepts, in words.
      choices: all values that the field accepts, if they are a few names; otherwise empty.
      default: the default value.
      may_change: whether a run may resume with another value.
      meaning: the comment of the field in the schema.
    """

    name: str
    type: str
    choices: list[str]
    default: Any
    may_change: bool
    meaning: str


def list_fields() -> list[FieldRow]:
    """Makes the row of every field, in the order of the schema."""
    # These imports are here, because they take a fifth of a second.
    from pydantic import TypeAdapter

    from pix2pix_jax.config.fields import field_values
    from pix2pix_jax.config.resume import free_fields
    from pix2pix_jax.config.schema import Config

    schema = TypeAdapter(Config).json_schema()
    comments, free = read_comments(), free_fields(Config())
    rows = []
    for name, default in field_values(Config()).items():
        group, _, last = name.rpartition(".")
        properties = schema["$defs"][group.title()]["properties"] if group else schema["properties"]
        kind = properties[last]
        rows.append(
            FieldRow(
                name=name,
                type=describe_type(kind),
                choices=find_choices(kind),
                default=default,
                may_change=name in free,
                meaning=comments[name],
            )
        )
    return rows


def describe_type(kind: dict[str, Any]) -> str:
    """Describes the JSON schema of a field in words."""
    if "anyOf" in kind:
        return " or ".join(map(describe_type, kind["anyOf"]))
    if choices := find_choices(kind):
        return f"one of {', '.join(choices)}"
    if kind["type"] == "array":
        count, [item, *_] = kind["maxItems"], kind["prefixItems"]
        return f"{count} numbers with commas between them, each a {describe_type(item)}"
    words = {
        "boolean": "True or False",
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "null": "None",
    }
    return f"{words[kind['type']]}{_describe_range(kind)}"


def find_choices(kind: dict[str, Any]) -> list[str]:
    """The names that a field accepts; empty if it accepts other values than names."""
    return [str(choice) for choice in kind.get("enum", [])]


def _describe_range(kind: dict[str, Any]) -> str:
    """The range of a number in words, without the limit MAX_COUNT."""
    low, high = kind.get("minimum"), kind.get("maximum")
    if kind["type"] == "integer":
        low = kind["exclusiveMinimum"] + 1 if "exclusiveMinimum" in kind else low
        high = kind["exclusiveMaximum"] - 1 if "exclusiveMaximum" in kind else high
        high = None if high == MAX_COUNT else high
    words = [f"from {low}" if low is not None else "", f"to {high}" if high is not None else ""]
    if kind["type"] == "number":
        words.insert(0, f"above {kind['exclusiveMinimum']}" if "exclusiveMinimum" in kind else "")
        words.append(f"below {kind['exclusiveMaximum']}" if "exclusiveMaximum" in kind else "")
    return "".join(f" {word}" for word in words if word)


def to_json(rows: list[FieldRow]) -> str:
    """Formats the rows as JSON, for programs."""
    return json.dumps([asdict(row) for row in rows], indent=2)


def to_text(rows: list[FieldRow]) -> str:
    """Formats the rows as text: each field as the flag that sets its default, then its meaning."""
    from pix2pix_jax.config.fields import format_value

    comments, lines, last_group = read_comments(), [], ""
    for row in rows:
        group = row.name.rpartition(".")[0]
        if group != last_group:
            lines += [f"{group}: {comments[group]}", ""]
        last_group = group
        change = "; may change when a run resumes" if row.may_change else ""
        text = f"{row.meaning} ({row.type}{change})"
        lines += [f"  --config.{row.name}={format_value(row.default)}"]
        lines += textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
        lines += [""]
    return "\n".join(lines).rstrip()
