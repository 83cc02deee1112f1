"""`pix2pix import`: make a run of networks that were trained elsewhere."""

import argparse
from functools import partial

from pix2pix_jax.cli.options import Fields, parse_path
from pix2pix_jax.config.experiments import load_experiment
from pix2pix_jax.config.files import override
from pix2pix_jax.errors import UsageError

HELP = "make a run of networks that were trained elsewhere"
EXAMPLE = "--weights=latest_net_G.pth --workdir=runs/imported"
WHEN_STOPPED = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files of weights."""
    parser.add_argument(
        "--weights", type=parse_path, metavar="FILE", help="generator, .pth or .safetensors"
    )
    parser.add_argument(
        "--discriminator", type=parse_path, metavar="FILE", help="default: a fresh one"
    )


def run(options: argparse.Namespace, fields: Fields) -> int:
    """Writes a new run at step 0."""
    if options.weights is None:
        raise UsageError("--weights: give the generator's, e.g. --weights=latest_net_G.pth")
    if options.workdir is None:
        raise UsageError("--workdir: import needs that of a new run, e.g. --workdir=runs/imported")
    from pix2pix_jax.runtime.backend import start_backend

    start_backend()
    from pix2pix_jax.interop.import_weights import import_weights

    base = options.config and load_experiment(options.config)
    finish = partial(override, values=fields)
    return import_weights(options.weights, options.discriminator, options.workdir, base, finish)
