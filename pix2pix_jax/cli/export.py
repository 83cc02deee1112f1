"""`pix2pix export`: write a generator for other programs."""

import argparse

from pix2pix_jax.cli.options import Fields, add_step, load_config, parse_path, require_run
from pix2pix_jax.errors import UsageError
from pix2pix_jax.interop.formats import FORMATS

HELP = "write a generator for other programs"
EXAMPLE = "--workdir=runs/first --output=generator.onnx"
WHEN_STOPPED = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which checkpoint, which file, which format."""
    parser.add_argument("--output", type=parse_path, metavar="FILE", help="what to write")
    parser.add_argument("--format", choices=FORMATS, help="default: FILE's suffix")
    parser.add_argument(
        "--discriminator", type=parse_path, metavar="FILE", help="writes it, too (not ONNX)"
    )
    add_step(parser)


def run(options: argparse.Namespace, fields: Fields) -> int:
    """Writes a network as a file, and checks it."""
    workdir = require_run(options)
    if options.output is None:
        raise UsageError("--output: export needs a file, e.g. --output=generator.onnx")
    config = load_config(options, fields)
    from pix2pix_jax.runtime.backend import start_backend

    start_backend()
    from pix2pix_jax.interop.export import export

    return export(
        config, workdir, options.output, options.format, options.step, options.discriminator
    )
