"""`pix2pix train`: train a run, or go on training it."""

import argparse
from contextlib import nullcontext

from pix2pix_jax.cli.options import Fields, load_config, parse_positive, parse_seed
from pix2pix_jax.errors import UsageError

HELP = "train; the same command in the same workdir resumes"
EXAMPLE = "--config=experiments/facades.py --workdir=runs/first --config.data.batch_size=4"
WHEN_STOPPED = "the same command goes on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags that join several processes into one run."""
    several = "of several; on TPUs, by srun and mpirun it is known"
    parser.add_argument("--coordinator", metavar="HOST:PORT", help=f"the first process {several}")
    parser.add_argument(
        "--num_processes", type=parse_positive, metavar="N", help="how many there are"
    )
    parser.add_argument("--process_id", type=parse_seed, metavar="I", help="which this is, from 0")


def run(options: argparse.Namespace, fields: Fields) -> int:
    """Joins the other processes, if any, and trains."""
    from pix2pix_jax.runtime.backend import start_backend
    from pix2pix_jax.runtime.distributed import is_first, join, wait_for_all

    peers = join(options.coordinator, options.num_processes, options.process_id)
    with peers.explain_lost_peer():
        with peers.report_errors():
            config = load_config(options, fields)
            if options.workdir is None:
                raise UsageError("--workdir: train needs one, e.g. --workdir=runs/first")
            start_backend()
            from pix2pix_jax.remote.sync import sync_workdir
            from pix2pix_jax.training.train import train

            with (
                sync_workdir(options.workdir, trains=True) if is_first() else nullcontext(),
                peers.report_errors(),  # the others hear of an error before the last upload
            ):
                status = train(config, options.workdir)
        wait_for_all("the end")
    return status
