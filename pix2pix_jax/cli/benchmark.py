"""`pix2pix benchmark`: measure how long training steps take, here and in other implementations."""

import argparse

from pix2pix_jax.benchmark.choices import PEERS, SWEEPS
from pix2pix_jax.cli.flags.options import FlagValues, load_config, require
from pix2pix_jax.cli.flags.values import parse_names, parse_positive

HELP = "measure how long training steps take, here and in other implementations"
EXAMPLE = "--config=experiments/facades.py --workdir=runs/speed --peers=torch"
WHEN_STOPPED = "the same command starts again from the beginning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --peers, --sweep and --rounds, which set what is timed, and how often."""
    parser.add_argument(
        "--peers",
        type=parse_names,
        default=[],
        metavar="NAMES",
        help=f"other implementations to time, separated by commas: {','.join(PEERS)}; "
        "default: none",
    )
    parser.add_argument(
        "--sweep",
        choices=SWEEPS,
        help="also time several batch sizes, image sizes or numbers of devices; default: none",
    )
    parser.add_argument(
        "--rounds",
        type=parse_positive,
        default=8,
        metavar="N",
        help="number of times that each implementation is timed; default: 8",
    )


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Measures the time of training steps, and writes benchmark.json and its page."""
    workdir = require(options, "workdir", "give a folder, e.g. --workdir=runs/speed")
    config = load_config(options, fields)
    from pix2pix_jax.runtime.backend import load_jax

    load_jax()  # before the next import, because that module imports JAX
    from pix2pix_jax.benchmark.benchmark import benchmark

    benchmark(config, workdir, options.peers, options.sweep, options.rounds)
    return 0
