"""`pix2pix describe`: print layers, shapes, parameters and receptive fields of a config."""

import argparse

from pix2pix_jax.cli.flags.options import FlagValues, add_text_or_json, load_config

HELP = "print layers, shapes, parameters and receptive fields of the networks"
EXAMPLE = "--config=experiments/facades.py --config.model.discriminator=patch34"
WHEN_STOPPED = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --format, the format of the output."""
    add_text_or_json(parser)


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Prints the networks of a config."""
    from pix2pix_jax.runtime.backend import start_backend

    start_backend()
    from pix2pix_jax.gan.description import describe, to_json, to_text

    summary = describe(load_config(options, fields))
    print(to_json(summary) if options.format == "json" else to_text(summary))
    return 0
