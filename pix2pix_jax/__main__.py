"""pix2pix in JAX: `pix2pix COMMAND --help`, or `python -m pix2pix_jax COMMAND --help`."""

import argparse
import signal
import sys
from pathlib import Path
from typing import NoReturn

from absl import logging

from pix2pix_jax.config import Config, UsageError
from pix2pix_jax.config_files import load_experiment, override, read_config

# Commands import what they need when they run, so that help and refusals come at once.


def run_prepare(options: argparse.Namespace, config: Config) -> int:
    """Writes the dataset of a config once, and says what it holds."""
    from pix2pix_jax.config import resolve
    from pix2pix_jax.data.builders import prepare

    dataset = prepare(resolve(config).data)
    counts = ", ".join(f"{info.num_examples} {name}" for name, info in dataset.info.splits.items())
    print(f"{config.data.name}: {counts} pairs in {dataset.data_dir}")
    return 0


def run_train(options: argparse.Namespace, config: Config) -> int:
    """Trains, or goes on training."""
    from pix2pix_jax.train import train

    if options.workdir is None:
        raise UsageError("--workdir: train needs one, e.g. --workdir=runs/first")
    return train(config, options.workdir)


def run_describe(options: argparse.Namespace, config: Config) -> int:
    """Prints what a config builds."""
    from pix2pix_jax.describe import as_json, as_text, describe

    print((as_json if options.format == "json" else as_text)(describe(config)))
    return 0


class Parser(argparse.ArgumentParser):
    """Refuses in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}")


def parse(arguments: list[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    """Flags, and the fields of `--config.GROUP.FIELD=VALUE`."""
    parser = Parser(prog="pix2pix", description="Image-to-image translation, pix2pix in JAX")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, run, text in (
        ("prepare", run_prepare, "write the dataset of a config once"),
        ("train", run_train, "train; the same command in the same workdir resumes"),
        ("describe", run_describe, "layers, shapes, parameters and receptive fields"),
    ):
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            allow_abbrev=False,
            epilog="--config.GROUP.FIELD=VALUE sets any field of pix2pix_jax/config.py",
        )
        command.set_defaults(run=run)
        command.add_argument(
            "--config", metavar="FILE[:ARG]", help="experiment; without it, that of the workdir"
        )
        command.add_argument("--workdir", type=Path, metavar="DIR", help="where the run lives")
        if name == "describe":
            command.add_argument("--format", choices=("text", "json"), default="text")
    options, rest = parser.parse_known_args(arguments)
    fields = {}
    for argument in rest:
        name, equals, value = argument.partition("=")
        if not name.startswith("--config.") or not equals:
            example = argument if name.startswith("--config.") else "--config.train.steps"
            raise UsageError(f"{argument}: no such flag; a field is set as {example}=VALUE")
        fields[name.removeprefix("--config.")] = value
    return options, fields


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; its exit status: 0, 2 for what the user can mend, 128 + a signal."""
    logging.set_verbosity(logging.ERROR)  # TFDS and Orbax tell what goes on in them
    sys.stdout.reconfigure(errors="replace")  # a terminal that cannot draw the skips
    try:
        options, fields = parse(sys.argv[1:] if arguments is None else arguments)
        if options.config is not None:
            config = load_experiment(options.config)
        elif options.workdir is not None:
            config = read_config(options.workdir / "config.json")
        else:
            raise UsageError("--config: give an experiment, e.g. experiments/quickstart.py")
        return options.run(options, override(config, fields))
    except UsageError as error:
        print(error, file=sys.stderr)
    except OSError as error:  # a full disk, a folder without permission
        print(f"{error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:  # before there is anything to save
        return 128 + signal.SIGINT
    return 2


if __name__ == "__main__":
    sys.exit(main())
