"""Explains an argument that no command knows: the flag or the field that the user meant."""

import shlex

from pix2pix_jax.cli.schema_source import read_field_names
from pix2pix_jax.errors import UsageError
from pix2pix_jax.suggestions import advice_about, closest_field, closest_name, other_names

SIMILAR = 0.8  # the similarity above which a flag is meant rather than a field


def explain_unknown(argument: str, following: str | None, flags: list[str]) -> UsageError:
    """The error for an argument that is neither a flag of the command nor sets a field.

    Args:
      argument: the argument.
      following: the next argument, which may be its value; None if there is none.
      flags: the flags of the command.
    """
    name, equals, value = argument.partition("=")
    if not name.startswith("-"):
        return UsageError(
            f"{argument}: does not begin with --; put a pattern, or a path with spaces, in quotes, "
            "as in --input='photos/*.png'"
        )
    if name in flags:  # before the command, where argparse does not look for it
        return UsageError(f"{argument}: stands before the command; give it after the command")
    if not equals and following is not None and not following.startswith("--"):
        value = following
    return UsageError(f"{argument}: unknown flag", suggest_flag(name.lstrip("-"), value, flags))


def suggest_flag(name: str, value: str, flags: list[str]) -> str:
    """What to give instead of an unknown flag: a flag or a field with the value, or a hint.

    Args:
      name: the unknown flag, without its dashes.
      value: the value that was given; may be empty.
      flags: the flags of the command, with their dashes.
    """
    own = {flag.lstrip("-"): flag for flag in flags}
    # A similar flag comes before a field: for `translate --steps`, --step and not train.steps.
    target = closest_name(name, own, SIMILAR)
    if target is not None:
        return _ask(own[target], value)
    for other in other_names(name):
        if other in flags:
            return _ask(other, value)
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
