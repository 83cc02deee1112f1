"""`pix2pix import`: make a run from networks that another program trained."""

import argparse

from pix2pix_jax.cli.flags.options import FlagValues, require
from pix2pix_jax.cli.flags.values import parse_path

HELP = "make a run from networks that another program trained"
EXAMPLE = "--weights=latest_net_G.pth --workdir=runs/imported"
WHEN_STOPPED = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for the files of the two networks."""
    parser.add_argument(
        "--weights",
        type=parse_path,
        metavar="FILE[:PLACE]",
        help="(required) file of the generator, .pth or .safetensors; the place names one of "
        "several generators in the file",
    )
    parser.add_argument(
        "--discriminator",
        type=parse_path,
        metavar="FILE[:PLACE]",
        help="file of the discriminator; default: a new, untrained discriminator",
    )
    parser.add_argument(
        "--options",
        metavar="FILE",
        help="train_opt.txt of the training of a .pth file, or none; default: the train_opt.txt "
        "beside the generator, if there is one",
    )


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Writes a new run that has the given networks at step 0."""
    weights = require(options, "weights", "give a generator, e.g. --weights=latest_net_G.pth")
    workdir = require(options, "workdir", "give a new folder, e.g. --workdir=runs/imported")
    from pix2pix_jax.config.experiments import load_experiment
    from pix2pix_jax.runtime.backend import start_backend

    start_backend()
    from pix2pix_jax.interop.import_weights import ImportOptions, import_weights

    base = None if options.config is None else load_experiment(options.config)
    import_options = ImportOptions(weights, options.discriminator, base, options.options)
    import_weights(import_options, workdir, fields)
    return 0
