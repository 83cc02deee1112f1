"""Explains an argument that no command knows: the flag or the field that the user meant."""

import shlex
from pathlib import Path

from pix2pix_jax.cli.schema_source import read_field_names
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.nearby import is_run
from pix2pix_jax.suggestions import (
    advice_about,
    closest_field,
    closest_name,
    other_names,
    plain_name,
)

SIMILAR = 0.82  # the similarity above which a flag is meant rather than a field
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212"  # text programs turn "--" into other dashes


def explain_unknown(argument: str, following: str | None, flags: list[str]) -> UsageError:
    """The error for an argument that is neither a flag of the command nor sets a field.

    Args:
      argument: the argument.
      following: the next argument, which may be its value; None if there is none.
      flags: the flags of the command.
    """
    name, equals, value = argument.partition("=")
    if name in flags:  # before the command, where argparse does not look for it
        return UsageError(f"{argument}: stands before the command", "give it after the command")
    bare = name.lstrip(DASHES)
    if name.startswith("-"):
        problem = f"{argument}: unknown flag"
    elif bare != name or equals:  # another dash, or none, as in other programs
        problem = f"{argument}: does not begin with --"
    else:
        return UsageError(f"{argument}: does not begin with --", suggest_path(argument, flags))
    if not equals and following is not None and not following.startswith("--"):
        value = following
    return UsageError(problem, suggest_flag(bare, value, flags))


def suggest_path(path: str, flags: list[str]) -> str:
    """What to give instead of a path without a flag: the flag that takes such a path.

    Args:
      path: the path, or another word.
      flags: the flags of the command.
    """
    place = Path(path)
    if place.suffix in (".py", ".json") or ".py:" in path:
        wanted = "--config"
    elif is_run(place) or "--input" not in flags:
        wanted = "--workdir"
    else:
        wanted = "--input"
    if wanted in flags and ("/" in path or wanted == "--config" or place.exists()):
        return _ask(wanted, path)
    if "--input" in flags:
        return "put a pattern, or a path with spaces, in quotes, as in --input='photos/*.png'"
    return "give --FLAG=VALUE for a flag that --help lists"


def suggest_flag(name: str, value: str, flags: list[str]) -> str:
    """What to give instead of an unknown flag: a flag or a field with the value, or a hint.

    Args:
      name: the unknown flag, without its dashes.
      value: the value that was given; may be empty.
      flags: the flags of the command, with their dashes.
    """
    own = {flag.lstrip("-"): flag for flag in flags}
    target = {plain_name(flag): flag for flag in own}.get(plain_name(name))
    others = [other for other in other_names(name) if other in flags]
    # A similar flag comes before a field: for `translate --steps`, --step and not train.steps.
    if target is None and not others:
        target = closest_name(name, own, SIMILAR)
    if target is not None:
        return _ask(own[target], value)
    if others:
        return _ask(others[0], value)
    if advice := advice_about(name):
        return advice
    field = closest_field(name.removeprefix("config."), read_field_names())
    if field is not None:
        return _ask(f"--config.{field}", value)
    target = closest_name(name, own, 0.7)
    if target is not None:
        return _ask(own[target], value)
    return "give a flag that --help lists, or a field that `pix2pix fields` lists"


def _ask(flag: str, value: str) -> str:
    """Asks whether a flag was meant; a flag that has a value already keeps its own value."""
    has_value = value and "=" not in flag
    return f"did you mean {flag}={shlex.quote(value)}?" if has_value else f"did you mean {flag}?"
