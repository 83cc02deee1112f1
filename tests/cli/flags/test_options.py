"""Flags that several commands share have the same choices everywhere."""

import argparse

from helpers.refusals import refusal

from pix2pix_jax.cli.flags.options import add_evaluation_flags, load_config
from pix2pix_jax.config.schema import SPLITS
from pix2pix_jax.runs.workdir import SweepFolder, Workdir


def test_the_choices_of_split_are_the_splits_of_a_dataset():
    parser = argparse.ArgumentParser()
    add_evaluation_flags(parser)
    [action] = [action for action in parser._actions if action.dest == "split"]
    assert action.choices == SPLITS


def test_the_folder_of_a_sweep_is_refused_where_a_run_is_needed(tmp_path):
    options = argparse.Namespace(command="evaluate", config=None, workdir=Workdir(tmp_path))
    message = refusal(load_config, options, {})
    assert message.startswith(f"{tmp_path}/config.json: not found")
    SweepFolder(tmp_path).results_file.touch()
    message = refusal(load_config, options, {})
    assert message.startswith(f"--workdir: {tmp_path} is the folder of a sweep")
