"""`pix2pix fields`: list the fields of an experiment."""

import argparse

from pix2pix_jax.cli.flags.options import FlagValues, Parser, add_text_or_json
from pix2pix_jax.errors import UsageError

HELP = "list the fields of an experiment, with their defaults and meanings"
EXAMPLE = "--format=json"
WHEN_STOPPED = None


def add_arguments(parser: Parser) -> None:
    """Adds --format, the format of the output."""
    add_text_or_json(parser)


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Prints all fields.

    Raises:
      UsageError: a field is set, although this command has no config.
    """
    if fields:
        name = next(iter(fields))
        raise UsageError(f"--config.{name}: fields prints only the defaults", "leave out this flag")
    from pix2pix_jax.cli.flags.field_list import list_fields, to_json, to_text

    rows = list_fields()
    print(to_json(rows) if options.format == "json" else to_text(rows))
    return 0
