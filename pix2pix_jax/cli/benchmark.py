"""`pix2pix benchmark`: time training steps, their parts, and other implementations beside ours."""

import argparse

from pix2pix_jax.cli.options import Fields, load_config, parse_positive
from pix2pix_jax.errors import UsageError

HELP = "time training, its parts, and others beside it"
EXAMPLE = "--config=experiments/facades.py --workdir=runs/speed --peers=torch"
WHEN_STOPPED = "the same command begins anew"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is timed, and how often."""
    parser.add_argument(
        "--peers", default="", metavar="NAMES", help="torch, keras, flax: timed beside ours"
    )
    parser.add_argument("--sweep", choices=("batch", "size", "devices"), help="how the cost grows")
    parser.add_argument(
        "--rounds", type=parse_positive, default=8, metavar="N", help="turns of each; default: 8"
    )


def run(options: argparse.Namespace, fields: Fields) -> int:
    """Writes benchmark.json and its page."""
    if options.workdir is None:
        raise UsageError(
            "--workdir: benchmark needs one for its numbers, e.g. --workdir=runs/speed"
        )
    config = load_config(options, fields)
    from pix2pix_jax.benchmark.benchmark import benchmark

    peers = [peer for peer in options.peers.split(",") if peer]
    return benchmark(config, options.workdir, peers, options.sweep, options.rounds)
