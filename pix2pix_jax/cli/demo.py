"""`pix2pix demo`: serve a web page that translates the images that you paint or upload."""

import argparse

from pix2pix_jax.cli.flags.options import FlagValues, add_step, load_config, require_run
from pix2pix_jax.cli.flags.values import parse_port

HELP = "serve a web page that translates the images that you paint or upload"
EXAMPLE = "--workdir=runs/first"
WHEN_STOPPED = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for the address of the page, and for the checkpoint to use."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; default: 127.0.0.1, which only this machine can reach",
    )
    parser.add_argument(
        "--port",
        type=parse_port,
        default=8000,
        help="TCP port, or 0 for any free port; default: 8000",
    )
    add_step(parser)


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Serves the page until the user stops the command."""
    workdir, config = require_run(options), load_config(options, fields)
    from pix2pix_jax.runtime.backend import start_backend

    start_backend()
    from pix2pix_jax.inference.demo.server import serve_demo

    serve_demo(config, workdir, options.step, options.host, options.port)
    return 0
