"""`pix2pix export`: write the generator, and maybe the discriminator, for other programs."""

import argparse

from pix2pix_jax.cli.flags.options import (
    FlagValues,
    add_running_statistics,
    add_step,
    load_config,
    require,
    require_run,
    statistics_options,
)
from pix2pix_jax.cli.flags.values import parse_path
from pix2pix_jax.interop.formats import DISCRIMINATOR_FORMATS, EXPORT_FORMATS

HELP = "write the generator to a file for other programs"
EXAMPLE = "--workdir=runs/first --output=generator.onnx"
WHEN_STOPPED = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for the files to write, their format, and the checkpoint to use."""
    parser.add_argument(
        "--output",
        type=parse_path,
        metavar="FILE",
        help="(required) file to write the generator to",
    )
    parser.add_argument(
        "--format",
        choices=EXPORT_FORMATS,
        help="format of --output, and of a --discriminator whose suffix names no format; default: "
        "the format that the suffix of --output names",
    )
    parser.add_argument(
        "--discriminator",
        type=parse_path,
        metavar="FILE",
        help=f"file to write the discriminator to, as {' or '.join(DISCRIMINATOR_FORMATS)}, "
        "whatever the format of --output; default: the discriminator is not written",
    )
    add_step(parser)
    add_running_statistics(parser)
    parser.add_argument(
        "--no_dropout",
        action="store_true",
        help="estimate running averages without dropout; default: with dropout, as in training",
    )


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Writes the generator, and with --discriminator also the discriminator; checks the files."""
    output = require(options, "output", "give a file, e.g. --output=generator.onnx")
    workdir = require_run(options)
    config = load_config(options, fields)
    from pix2pix_jax.runtime.backend import start_backend

    start_backend()
    from pix2pix_jax.interop.export import ExportOptions, export

    export_options = ExportOptions(
        output=output,
        format=options.format,
        step=options.step,
        discriminator=options.discriminator,
        statistics=statistics_options(options, not options.no_dropout),
        use_dropout=not options.no_dropout,
    )
    export(config, workdir, export_options)
    return 0
