"""The table of the commands, and the parsing of their arguments."""

import argparse
from itertools import zip_longest
from types import ModuleType

from pix2pix_jax.cli import (
    benchmark,
    demo,
    describe,
    evaluate,
    export,
    fields,
    import_weights,
    prepare,
    sweep,
    train,
    translate,
)
from pix2pix_jax.cli.flags.options import Flags, FlagValues, Parser
from pix2pix_jax.cli.flags.values import parse_experiment_flag, parse_workdir
from pix2pix_jax.cli.version import PrintVersion
from pix2pix_jax.errors import UsageError
from pix2pix_jax.suggestions import closest_name

COMMANDS: dict[str, ModuleType] = {  # in the order of `pix2pix --help`
    "prepare": prepare,
    "train": train,
    "evaluate": evaluate,
    "sweep": sweep,
    "describe": describe,
    "translate": translate,
    "export": export,
    "demo": demo,
    "benchmark": benchmark,
    "import": import_weights,
    "fields": fields,
}
WITHOUT_CONFIG = ("fields",)  # the commands that take neither --config nor --workdir
DEFAULT_CONFIG_HELP = (
    "file of the experiment, or the config.json of a run; default: config.json in the workdir"
)
# The help texts of --config and --workdir for the commands in which they have another meaning.
CONFIG_HELP = {
    "sweep": "(required) file of the sweep: a Python file with a function sweep()",
    "train": "(required for a new run) file of the experiment, or the config.json of another run; "
    "default: config.json in the workdir",
    "import": "file of an experiment; it sets the fields that are not stored in the weights",
}
WORKDIR_HELP = {
    "sweep": "(required) folder of the sweep",
    "prepare": "folder of a run, or gs://BUCKET/DIR; needed only without --config",
    "describe": "folder of a run, or gs://BUCKET/DIR; needed only without --config",
    "import": "(required) folder of the new run, or gs://BUCKET/DIR",
    "benchmark": "(required) folder to write the results to, or gs://BUCKET/DIR",
}
EPILOG = """\
pix2pix COMMAND --help lists the flags of a command.
pix2pix fields lists the fields of an experiment, which --config.GROUP.FIELD=VALUE sets.

An error that you can fix is printed as one line.
PIX2PIX_DEBUG=1 pix2pix COMMAND ... also prints its traceback.
"""
COMMAND_EPILOG = "example: pix2pix {command} {example}\n"
FIELDS_EPILOG = "\n--config.GROUP.FIELD=VALUE sets a field; pix2pix fields lists the fields\n"


def parse(arguments: list[str]) -> tuple[argparse.Namespace, FlagValues]:
    """Parses the flags of a command, and the fields of `--config.GROUP.FIELD=VALUE`.

    Raises:
      UsageError: the command or a flag is unknown, or a flag has a wrong value or no value.
    """
    parser, command_parsers = make_parser()
    check_order(arguments, parser.flags)
    options, rest = parser.parse_known_args(arguments)
    if options.command is None:
        return options, {}
    return options, parse_fields(rest, command_parsers[options.command].flags)


def make_parser() -> tuple[Parser, dict[str, Parser]]:
    """Makes the parser of all arguments, and the parsers of the commands by name."""
    parser = Parser(
        prog="pix2pix",
        description="Image-to-image translation: pix2pix in JAX",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=PrintVersion, help="print the version, and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parsers = {}
    for name, command in COMMANDS.items():
        parsers[name] = command_parser = commands.add_parser(
            name,
            help=command.HELP,
            description=command.HELP,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=COMMAND_EPILOG.format(command=name, example=command.EXAMPLE)
            + ("" if name in WITHOUT_CONFIG else FIELDS_EPILOG),
        )
        command_parser.set_defaults(config=None, workdir=None)
        if name not in WITHOUT_CONFIG:
            add_config_flags(command_parser, name)
        command.add_arguments(command_parser)
    return parser, parsers


def add_config_flags(parser: Parser, command: str) -> None:
    """Adds --config and --workdir, with the help texts of a command."""
    parser.add_argument(
        "--config",
        type=parse_experiment_flag,
        metavar="FILE[:ARG]",
        help=CONFIG_HELP.get(command, DEFAULT_CONFIG_HELP),
    )
    parser.add_argument(
        "--workdir",
        type=parse_workdir,
        metavar="DIR",
        help=WORKDIR_HELP.get(command, "(required) folder of the run, or gs://BUCKET/DIR"),
    )


def check_order(arguments: list[str], flags: Flags) -> None:
    """Raises UsageError if a flag of a command stands before the command.

    Args:
      arguments: all arguments.
      flags: the flags that may stand before a command.
    """
    if not arguments or not arguments[0].startswith("-") or arguments[0] in flags:
        return
    import shlex  # here, because few commands need the module

    flag = arguments[0]
    command = next((word for word in arguments if word in COMMANDS), None)
    if command is None:
        near = closest_name(flag, flags) or ("--version" if flag in ("-v", "-V") else None)
        fix = f"did you mean {near}?" if near else f"give a command first: pix2pix COMMAND {flag}"
        raise UsageError(f"{flag}: is not a command", fix)
    others = shlex.join(word for word in arguments if word != command)
    raise UsageError(f"{flag}: stands before the command", f"run pix2pix {command} {others}")


def parse_fields(arguments: list[str], flags: Flags) -> FlagValues:
    """Parses `--config.GROUP.FIELD=VALUE` into values by GROUP.FIELD.

    Args:
      arguments: all arguments of the command line except the flags of the command.
      flags: the flags of the command, from which a replacement for an unknown flag is suggested.

    Raises:
      UsageError: an argument does not have this form.
    """
    values = {}
    for argument, following in zip_longest(arguments, arguments[1:]):
        name, equals, value = argument.partition("=")
        if not name.startswith("--config."):
            # This import is here, because few commands need the module.
            from pix2pix_jax.cli.flags.unknown_flags import explain_unknown

            raise explain_unknown(argument, following, flags)
        if not equals:
            given = "VALUE" if following is None or following.startswith("--") else following
            raise UsageError(f"{argument}: has no value", f"give {argument}={given}")
        values[name.removeprefix("--config.")] = value
    return values
