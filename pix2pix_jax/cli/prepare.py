"""`pix2pix prepare`: download or read the dataset of a config, and write it for training."""

import argparse

from pix2pix_jax.cli.flags.options import FlagValues, load_config

HELP = "write the dataset of an experiment for training, and download it if necessary"
EXAMPLE = "--config=experiments/facades.py --config.data.source=facades.tar.gz"
WHEN_STOPPED = "the same command starts again from the beginning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds nothing: this command has no flags of its own."""


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Writes the dataset, and prints the number of pairs in each split."""
    from pix2pix_jax.config.resolve import resolve
    from pix2pix_jax.data.contents.lines import dataset_lines
    from pix2pix_jax.data.images.pixels import check_channels
    from pix2pix_jax.data.prepare import prepare
    from pix2pix_jax.runtime.console import say

    config = resolve(load_config(options, fields))
    check_channels(config.data)
    dataset = prepare(config.data)
    counts = ", ".join(f"{info.num_examples} {name}" for name, info in dataset.info.splits.items())
    say(f"{config.data.name}: {counts} pairs in {dataset.data_dir}")
    for line in dataset_lines(dataset, config.data):
        say(line)
    return 0
