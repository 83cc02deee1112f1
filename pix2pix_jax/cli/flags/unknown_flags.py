"""Explains an argument that no command knows: the flag or the field that the user meant."""

import argparse
import shlex
from pathlib import Path

from pix2pix_jax.cli.flags.options import Flags
from pix2pix_jax.cli.flags.schema_source import read_field_names
from pix2pix_jax.cli.flags.values import (
    parse_experiment_flag,
    parse_init,
    parse_path,
    parse_workdir,
)
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.nearby import is_run
from pix2pix_jax.suggestions import (
    SWITCH_VALUES,
    advice_about,
    advice_about_switch,
    closest_field,
    closest_name,
    other_names,
    other_value,
    plain_name,
)

SIMILAR = 0.82  # above this similarity, a name is taken for a flag, not for a field
WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors")  # the suffixes of files of weights
PATH_PARSERS = (parse_experiment_flag, parse_init, parse_path, parse_workdir)
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212"  # text programs turn "--" into other dashes


def explain_unknown(argument: str, following: str | None, flags: Flags) -> UsageError:
    """The error for an argument that is neither a flag of the command nor sets a field.

    Args:
      argument: the argument.
      following: the next argument, which may be its value; None if there is none.
      flags: the flags of the command.
    """
    name, equals, value = argument.partition("=")
    bare = name.lstrip(DASHES)
    if name.startswith("-"):
        problem = f"{argument}: unknown flag"
    elif bare != name or equals:  # The user typed another dash, or no dash.
        problem = f"{argument}: does not begin with --"
    else:
        return UsageError(f"{argument}: does not begin with --", suggest_path(argument, flags))
    if not equals and following is not None and not following.startswith("--"):
        value = following
    return UsageError(problem, suggest_flag(bare, value, flags))


def suggest_path(path: str, flags: Flags) -> str:
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
        return _did_you_mean(wanted, path, flags)
    if "--input" in flags:
        return "put the path in quotes, for example --input='photos/*.png'"
    return "give --FLAG=VALUE for a flag that --help lists"


def suggest_flag(name: str, value: str, flags: Flags) -> str:
    """What to give instead of an unknown flag: a flag or a field with the value, or a hint.

    Args:
      name: the unknown flag, without its dashes.
      value: the value that was given; may be empty.
      flags: the flags of the command, with their dashes.
    """
    own = {flag.lstrip("-"): flag for flag in flags}
    target = {plain_name(flag): flag for flag in own}.get(plain_name(name))
    if target is None and (advice := advice_about_switch(name, value)):
        return advice
    others = [other for other in other_names(name) if other in flags]
    if others and value.lower().endswith(WEIGHTS) and "--weights" not in flags:
        return f"first run pix2pix import --weights={shlex.quote(value)} --workdir=DIR"
    others = [other for other in others if _is_accepted(flags[other], value)]
    if target is None and not others and (advice := advice_about(name)):
        return advice
    # A similar flag comes before a field: for `translate --steps`, --step and not train.steps.
    if target is None and not other_names(name):
        target = closest_name(name, own, SIMILAR)
    if target is not None:
        return _did_you_mean(own[target], value, flags)
    if others:
        return _did_you_mean(others[0], value, flags)
    field = closest_field(name.removeprefix("config."), read_field_names())
    if field is not None:
        return _did_you_mean(f"--config.{field}", value, flags)
    target = closest_name(name, own, 0.7)
    if target is not None:
        return _did_you_mean(own[target], value, flags)
    return "give a flag that --help lists, or a field that `pix2pix fields` lists"


def _is_accepted(flag: argparse.Action, value: str) -> bool:
    """Whether a flag accepts a value.

    A flag without a parser for its value, such as --list or --host, accepts any value. For a flag
    that takes a path, a word such as "True" is no value.
    """
    if not value or not callable(flag.type):
        return True
    if flag.type in PATH_PARSERS and value.lower() in SWITCH_VALUES:
        return False
    try:
        flag.type(value)
    except (argparse.ArgumentTypeError, UsageError, ValueError):
        return False
    return True


def _did_you_mean(flag: str, value: str, flags: Flags) -> str:
    """The fix for a misspelt flag: "did you mean FLAG=VALUE?".

    A flag that fixes or takes no value is named alone. If VALUE is false, the fix is to leave the
    flag out.

    Args:
      flag: the flag, maybe with a value: --FLAG, or --config.GROUP.FIELD=VALUE.
      value: the value that was given; may be empty.
      flags: the flags of the command.
    """
    has_own = "=" in flag or (flag in flags and flags[flag].nargs == 0)
    if has_own and value.lower() in ("false", "no", "0"):
        return "leave this flag out"
    if has_own or not value:
        return f"did you mean {flag}?"
    wanted, other_values = _valid_value(flag, value, flags)
    if wanted is None:
        return f"did you mean {flag}? {other_values}"
    return f"did you mean {flag}={shlex.quote(wanted)}?"


def _valid_value(flag: str, value: str, flags: Flags) -> tuple[str | None, str]:
    """The value of a flag or a field that a given value means, so that no suggestion is refused.

    Args:
      flag: --FLAG, or --config.GROUP.FIELD.
      value: the value that was given.
      flags: the flags of the command.

    Returns:
      The value, or None if no valid value is meant; and the values that are valid, in words.
    """
    if flag in flags:
        choices = flags[flag].choices
        if choices is None:
            return _accepted_value(flags[flag], value)
        names = [str(choice) for choice in choices]
        near = value if value in names else closest_name(value, names)
        return near, f"Give one of {', '.join(names)}"
    # These imports are here, because few commands need the modules.
    from pix2pix_jax.config.files import override
    from pix2pix_jax.config.schema import Config

    field = flag.removeprefix("--config.")
    for candidate in (value, other_value(field, value)):
        try:
            override(Config(), {field: candidate})
        except UsageError as error:
            fix = error.fix
        else:
            return candidate, ""
    valid, _, near = fix.partition("; did you mean ")
    return (near.strip("'?") or None), _as_sentence(valid)


def _accepted_value(flag: argparse.Action, value: str) -> tuple[str | None, str]:
    """A value if a flag accepts it, or else None; and what to give instead."""
    if _is_accepted(flag, value):
        return value, ""
    fix = ""
    try:
        flag.type(value)  # type: ignore[operator] (a flag without a type accepts every value)
    except (argparse.ArgumentTypeError, UsageError, ValueError) as error:
        fix = str(error).partition("; ")[2]
    return None, _as_sentence(fix or "give a value that --help describes")


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
