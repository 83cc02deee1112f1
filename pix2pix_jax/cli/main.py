"""pix2pix in JAX: `pix2pix COMMAND --help`, or `python -m pix2pix_jax COMMAND --help`."""

import argparse
import logging
import os
import signal
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

from absl import logging as absl_logging

from pix2pix_jax.config.files import load_experiment, load_sweep, override, read_config
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.backend import start_backend
from pix2pix_jax.runtime.files import MIRRORS, local

USUAL = "--config=experiments/facades.py --workdir=runs/first --config.data.batch_size=4"
EXAMPLES = {
    "demo": "--workdir=runs/first",
    "export": "--workdir=runs/first --output=generator.onnx",
    "translate": "--workdir=runs/first --input=photos --output=translated",
    "import": "--weights=latest_net_G.pth --workdir=runs/imported",
    "evaluate": "--workdir=runs/first --split=test",
    "benchmark": "--config=experiments/facades.py --workdir=runs/speed --peers=torch",
    "sweep": "--config=experiments/ablations/receptive_field.py:facades --workdir=runs/field",
}
FORMATS = ("stablehlo", "onnx", "safetensors", "pth")
# What becomes of a command that was stopped.
STOPPED = dict.fromkeys(("train", "sweep"), b"; the same command goes on") | dict.fromkeys(
    ("prepare", "evaluate", "translate", "benchmark"), b"; the same command begins anew"
)
Fields = dict[str, str]  # of --config.GROUP.FIELD=VALUE


def run_prepare(options: argparse.Namespace, fields: Fields) -> int:
    """Writes the dataset of a config once, and says what it holds."""
    from pix2pix_jax.config.resolve import resolve
    from pix2pix_jax.data.builders import prepare

    config = load_config(options, fields)
    dataset = prepare(resolve(config).data)
    counts = ", ".join(f"{info.num_examples} {name}" for name, info in dataset.info.splits.items())
    print(f"{config.data.name}: {counts} pairs in {dataset.data_dir}")
    return 0


def run_train(options: argparse.Namespace, fields: Fields) -> int:
    """Trains, or goes on training."""
    from pix2pix_jax.runtime.distributed import (
        explain_lost_peer,
        is_first,
        join,
        report_errors,
        wait_for_all,
    )

    join(options.coordinator, options.num_processes, options.process_id)
    with explain_lost_peer():
        with report_errors():
            config = load_config(options, fields)
            if options.workdir is None:
                raise UsageError("--workdir: train needs one, e.g. --workdir=runs/first")
            start_backend()
            from pix2pix_jax.runs.bucket_sync import sync_workdir
            from pix2pix_jax.training.train import train

            with (
                sync_workdir(options.workdir, trains=True) if is_first() else nullcontext(),
                report_errors(),  # at once, before what there is is sent
            ):
                status = train(config, options.workdir)
        wait_for_all("the end")
    return status


def run_evaluate(options: argparse.Namespace, fields: Fields) -> int:
    """Scores a split."""
    check_run_given(options)
    config = load_config(options, fields)
    start_backend()
    from pix2pix_jax.evaluation.evaluate import evaluate

    fcn_score = not options.no_fcn_score
    return evaluate(config, options.workdir, options.split, options.step, fcn_score)


def run_sweep(options: argparse.Namespace, fields: Fields) -> int:
    """Runs the variants of an experiment, or lists them."""
    if options.config is None:
        raise UsageError("--config: give a sweep, e.g. experiments/ablations/receptive_field.py")
    if options.workdir is None:
        raise UsageError("--workdir: sweep needs one, e.g. --workdir=runs/receptive_field")
    start_backend()
    from pix2pix_jax.sweeps.plan import to_text
    from pix2pix_jax.sweeps.sweep import sweep

    plan = load_sweep(options.config, options.seeds, fields)
    if options.list:
        print(to_text(plan, options.workdir, options.split))
        return 0
    fcn_score = not options.no_fcn_score
    return sweep(plan, options.workdir, options.index, options.split, fcn_score)


def run_describe(options: argparse.Namespace, fields: Fields) -> int:
    """Prints what a config builds."""
    start_backend()
    from pix2pix_jax.gan.summary import describe, to_json, to_text

    print(
        (to_json if options.format == "json" else to_text)(describe(load_config(options, fields)))
    )
    return 0


def run_translate(options: argparse.Namespace, fields: Fields) -> int:
    """Translates images."""
    check_run_given(options)
    for name, example in (
        ("input", "photo.png, or a folder"),
        ("output", "translated, a folder"),
    ):
        if not getattr(options, name):
            raise UsageError(f"--{name}: translate needs one, e.g. --{name}={example}")
    config = load_config(options, fields)
    start_backend()
    from pix2pix_jax.inference.translate import TranslateOptions, translate_files

    how = TranslateOptions(
        step=options.step,
        seed=options.seed,
        samples=options.samples,
        tile=options.tile,
        resize=options.resize,
        noisy=not options.no_dropout,
    )
    return translate_files(config, options.workdir, options.input, options.output, how)


def run_export(options: argparse.Namespace, fields: Fields) -> int:
    """Writes a network as a file for other programs."""
    check_run_given(options)
    if options.output is None:
        raise UsageError("--output: export needs a file, e.g. --output=generator.onnx")
    config = load_config(options, fields)
    start_backend()
    from pix2pix_jax.interop.export import export

    output, kind, judge = options.output, options.format, options.discriminator
    return export(config, options.workdir, output, kind, options.step, judge)


def run_demo(options: argparse.Namespace, fields: Fields) -> int:
    """Serves a page."""
    check_run_given(options)
    config = load_config(options, fields)
    start_backend()
    from pix2pix_jax.inference.demo.server import demo

    return demo(config, options.workdir, options.step, options.host, options.port)


def run_benchmark(options: argparse.Namespace, fields: Fields) -> int:
    """Times training steps."""
    if options.workdir is None:
        raise UsageError(
            "--workdir: benchmark needs one for its numbers, e.g. --workdir=runs/speed"
        )
    config = load_config(options, fields)
    from pix2pix_jax.benchmark import benchmark

    peers = [peer for peer in options.peers.split(",") if peer]
    return benchmark(config, options.workdir, peers, options.sweep, options.rounds)


def run_import(options: argparse.Namespace, fields: Fields) -> int:
    """Makes a run of networks that were trained elsewhere."""
    if options.weights is None:
        raise UsageError("--weights: give the generator's, e.g. --weights=latest_net_G.pth")
    if options.workdir is None:
        raise UsageError("--workdir: import needs that of a new run, e.g. --workdir=runs/imported")
    start_backend()
    from pix2pix_jax.interop.import_weights import import_weights

    base = options.config and load_experiment(options.config)
    finish = partial(override, values=fields)
    return import_weights(options.weights, options.discriminator, options.workdir, base, finish)


def load_config(options: argparse.Namespace, fields: Fields) -> Config:
    """The config of --config, or else that of the workdir, with fields replaced."""
    if options.config is not None:
        config = load_experiment(options.config)
    elif options.workdir is not None:
        path = options.workdir / "config.json"
        if options.command == "train" and options.workdir.is_relative_to(MIRRORS):
            from pix2pix_jax.runs.bucket_sync import config_at_hand

            path = config_at_hand(options.workdir)
        config = read_config(path)
    else:
        raise UsageError("--config: give an experiment, e.g. experiments/quickstart.py")
    return override(config, fields)


def check_run_given(options: argparse.Namespace) -> None:
    """Raises UsageError where a command on a run was not told which."""
    if options.workdir is None:
        raise UsageError(
            f"--workdir: {options.command} needs that of a run, e.g. --workdir=runs/first"
        )


def workdir_at_hand(options: argparse.Namespace) -> AbstractContextManager[None]:
    """Brings a workdir here that is in a bucket; but for `train`, which asks who is first."""
    if options.workdir is None or not options.workdir.is_relative_to(MIRRORS):
        return nullcontext()
    if options.command == "sweep":
        raise UsageError("--workdir: sweep writes to a folder of this machine; give one")
    if options.command == "train":
        return nullcontext()
    from pix2pix_jax.runs.bucket_sync import sync_workdir

    return sync_workdir(options.workdir)


class Parser(argparse.ArgumentParser):
    """Refuses in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}")


def local_path(path: str) -> Path:
    """A path with its ~, which shells leave alone after `--workdir=`."""
    if not path:  # of a variable that is not set; it would be the current folder
        raise argparse.ArgumentTypeError("is empty; give a path")
    if "://" in path:
        raise argparse.ArgumentTypeError(f"{path} is an address; give a path")
    return local(path)


def workdir(path: str) -> Path:
    """The same, or gs://BUCKET/FOLDER."""
    if not path.startswith("gs://"):
        return local_path(path)
    if "/" not in path.removeprefix("gs://").rstrip("/"):
        raise argparse.ArgumentTypeError(f"{path} is a whole bucket; give gs://BUCKET/DIR")
    try:
        return local(path)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def number(text: str) -> int:
    """A number that a seed may be."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not a number below 2**32")
    return int(text)


def port(text: str) -> int:
    """A number that a port may have."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port, 0 to 65535")
    return int(text)


def positive(text: str) -> int:
    """A number above zero."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return int(text)


def checkpoint_step(text: str) -> int | str:
    """A number, or one of the two words that stand for one."""
    if text.isdecimal():
        return int(text)
    if text not in ("newest", "best"):
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor newest nor best")
    return text


def add_arguments(name: str, command: Parser) -> None:
    """The flags of a command, but for --config and its fields."""
    command.add_argument(
        "--workdir", type=workdir, metavar="DIR", help="where the run lives; or gs://BUCKET/DIR"
    )
    if name == "train":
        several = "of several; on TPUs, by srun and mpirun it is known"
        command.add_argument(
            "--coordinator", metavar="HOST:PORT", help=f"the first process {several}"
        )
        command.add_argument(
            "--num_processes", type=positive, metavar="N", help="how many there are"
        )
        command.add_argument("--process_id", type=number, metavar="I", help="which this is, from 0")
    if name in ("evaluate", "sweep"):
        command.add_argument(
            "--split", choices=("train", "val", "test"), default="val", help="default: val"
        )
        command.add_argument("--no_fcn_score", action="store_true", help="trains no segmenter")
    if name == "sweep":
        command.add_argument("--index", type=int, metavar="I", help="only variant I")
        command.add_argument("--seeds", type=positive, metavar="N", help="runs of each row")
        command.add_argument("--list", action="store_true", help="only say what would be run")
    if name == "demo":
        command.add_argument("--host", default="127.0.0.1", help="default: this machine alone")
        command.add_argument("--port", type=port, default=8000, help="default: 8000; 0: any")
    if name == "export":
        command.add_argument("--output", type=local_path, metavar="FILE", help="what to write")
        command.add_argument("--format", choices=FORMATS, help="default: FILE's suffix")
        command.add_argument(
            "--discriminator", type=local_path, metavar="FILE", help="writes it, too (not ONNX)"
        )
    if name in ("evaluate", "translate", "export", "demo"):
        command.add_argument(
            "--step",
            type=checkpoint_step,
            default="newest",
            help="K, newest (the default) or best",
        )
    if name == "translate":
        command.add_argument("--input", metavar="FILE_OR_DIR", help="image, folder or pattern")
        command.add_argument("--output", type=local_path, metavar="DIR", help="where PNGs go")
        command.add_argument("--seed", type=number, metavar="K", help="default: the run's")
        command.add_argument(
            "--samples", type=positive, default=1, metavar="N", help="of each, by dropout"
        )
        command.add_argument("--no_dropout", action="store_true", help="nothing is random")
        command.add_argument(
            "--tile", type=positive, metavar="SIDE", help="cut large images into tiles"
        )
        command.add_argument(
            "--resize", action="store_true", help="scale to the size of training, and back"
        )
    if name == "import":
        command.add_argument(
            "--weights", type=local_path, metavar="FILE", help="generator, .pth or .safetensors"
        )
        command.add_argument(
            "--discriminator", type=local_path, metavar="FILE", help="default: a fresh one"
        )
    if name == "benchmark":
        command.add_argument(
            "--peers", default="", metavar="NAMES", help="torch, keras, flax: timed beside ours"
        )
        command.add_argument(
            "--sweep", choices=("batch", "size", "devices"), help="how the cost grows"
        )
        command.add_argument(
            "--rounds", type=positive, default=8, metavar="N", help="turns of each; default: 8"
        )
    if name == "describe":
        command.add_argument("--format", choices=("text", "json"), default="text")


def parse(arguments: list[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    """Flags, and the fields of `--config.GROUP.FIELD=VALUE`."""
    parser = Parser(prog="pix2pix", description="Image-to-image translation, pix2pix in JAX")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, run, text in (
        ("prepare", run_prepare, "write the dataset of a config once"),
        ("train", run_train, "train; the same command in the same workdir resumes"),
        ("evaluate", run_evaluate, "score a split, and show its pairs"),
        ("sweep", run_sweep, "run the variants of an experiment, and compare them"),
        ("describe", run_describe, "layers, shapes, parameters and receptive fields"),
        ("translate", run_translate, "translate a file, a folder or a pattern"),
        ("export", run_export, "write a generator for other programs"),
        ("demo", run_demo, "a page that translates what is painted or opened"),
        ("benchmark", run_benchmark, "time training, its parts, and others beside it"),
        ("import", run_import, "make a run of networks that were trained elsewhere"),
    ):
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"e.g. pix2pix {name} {EXAMPLES.get(name, USUAL)}\n\n"
            "--config.GROUP.FIELD=VALUE sets any field of pix2pix_jax/config/schema.py",
        )
        command.set_defaults(run=run)
        command.add_argument(
            "--config",
            metavar="FILE[:ARG]",
            help="a file with sweep()" if name == "sweep" else "experiment; default: the workdir's",
        )
        add_arguments(name, command)
    options, rest = parser.parse_known_args(arguments)
    fields = {}
    for argument in rest:
        name, equals, value = argument.partition("=")
        if not name.startswith("--config.") or not equals:
            if name.startswith("--config."):
                raise UsageError(f"{argument}: needs a value, as in {argument}=VALUE")
            if not name.startswith("-"):
                raise UsageError(
                    f"{argument}: left over; a pattern, or a path with spaces, needs quotes"
                )
            raise UsageError(f"{argument}: no such flag; a field is set as --config.seed=VALUE")
        fields[name.removeprefix("--config.")] = value
    return options, fields


def silence_libraries() -> None:
    """TFDS and Orbax tell what goes on in them; what failed is said by us, in one line."""

    def hook(unraisable) -> None:
        error = unraisable.exc_value
        if isinstance(error, SystemExit):  # of `stop`, in a callback that lets nothing pass
            signal.signal(signal.SIGALRM, lambda *_: sys.exit(error.code))
            signal.setitimer(signal.ITIMER_REAL, 0.01)  # so once more, outside of it
        # When a save failed, Orbax leaves its other writes to themselves.
        elif "Event loop is closed" not in str(error):
            sys.__unraisablehook__(unraisable)

    sys.unraisablehook = hook
    warnings.filterwarnings("ignore", module="PIL")  # of oddities in files that it can read
    absl_logging.set_verbosity(absl_logging.FATAL)
    for name in ("asyncio", "gcsfs"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def stop(text: bytes, number: int, frame: object) -> NoReturn:
    """Ends what is not training, and says what then."""
    with suppress(OSError):  # nobody may be watching; `print` is not for handlers
        os.write(1, b"\nstopped" + text + b"\n")
    sys.exit(128 + number)


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; its exit status: 0, 2 for what the user can mend, 128 + a signal."""
    silence_libraries()
    sys.stdout.reconfigure(errors="replace")  # a terminal that cannot draw the skips
    try:
        status = command(sys.argv[1:] if arguments is None else arguments)
    except SystemExit as stopped:
        if isinstance(stopped.code, int) and stopped.code > 128:  # by `stop`; all is tidied up
            os._exit(stopped.code)  # at once: threads that still compute would crash at exit
        raise
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # `pix2pix describe ... | head`; nor is there anything to say at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def command(arguments: list[str]) -> int:
    """Runs one command of the line; what the user can mend becomes one line and 2."""
    try:
        options, fields = parse(arguments)
        for number in (signal.SIGINT, signal.SIGTERM):  # what is half done is removed on the way
            signal.signal(number, partial(stop, STOPPED.get(options.command, b"")))
        with workdir_at_hand(options):
            return options.run(options, fields)
    except UsageError as error:
        print(error, file=sys.stderr)
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
    except OSError as error:  # a full disk, a folder without permission
        place = error.filename or options.workdir or "data.data_dir"
        print(f"{place}: {error.strerror or error}", file=sys.stderr)
    return 2
