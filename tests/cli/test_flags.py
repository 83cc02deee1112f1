"""`--help` marks the flags that a command needs; the error of an unknown flag has a fix."""

import platform
import re
import shlex

import jax
import pytest
from helpers.refusals import refusal

import pix2pix_jax
from pix2pix_jax.cli.arguments import COMMANDS, make_parser, parse
from pix2pix_jax.cli.main import run_command
from pix2pix_jax.config import Config
from pix2pix_jax.config.fields import field_names
from pix2pix_jax.config.files import override
from pix2pix_jax.evaluation.running_statistics import MAX_PAIRS
from pix2pix_jax.suggestions import OTHER_COMMANDS, OTHER_NAMES, VALUES_BY_TARGETS

# A value for every required flag.
REQUIRED = {
    "prepare": {},
    "train": {"workdir": "run"},
    "evaluate": {"workdir": "run"},
    "sweep": {"config": "sweep.py", "workdir": "sweep"},
    "describe": {},
    "translate": {"workdir": "run", "input": "photos", "output": "translated"},
    "export": {"workdir": "run", "output": "generator.onnx"},
    "demo": {"workdir": "run"},
    "benchmark": {"workdir": "run"},
    "import": {"weights": "generator.pth", "workdir": "run"},
    "fields": {},
}
CASES = [(command, flag) for command, flags in REQUIRED.items() for flag in flags]


def test_the_test_cases_cover_every_command():
    assert list(REQUIRED) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_marks_the_flags_that_a_command_needs(command, capsys):
    with pytest.raises(SystemExit):
        parse([command, "--help"])
    options = capsys.readouterr().out.partition("\noptions:\n")[2]
    marked = {
        entry.split()[0]
        for entry in options.split("\n  --")
        if "(required)" in " ".join(entry.split())
    }
    assert marked == set(REQUIRED[command])


@pytest.mark.parametrize("command", ["translate", "evaluate", "export"])
def test_help_names_the_number_of_pairs_of_an_estimate(command, capsys):
    with pytest.raises(SystemExit):
        parse([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"averages of N training pairs (default: all, at most {MAX_PAIRS})" in text


@pytest.mark.parametrize(("command", "missing"), CASES)
def test_a_command_refuses_to_run_without_a_flag_that_it_needs(
    command, missing, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.py").write_text(
        "from pix2pix_jax.config import Config\ndef get_config(): return Config()\n"
    )
    flags = {"config": "experiment.py"} | REQUIRED[command]
    given = [f"--{name}={value}" for name, value in flags.items() if name != missing]
    message = refusal(COMMANDS[command].run, *parse([command, *given]))
    assert message.startswith(f"--{missing}: is missing; give ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["evaluate", "--split=tset"],
            "--split: 'tset' is not valid; give one of train, val, test; did you mean test?",
        ),
        (["evaluate", "--split=all"], "--split: 'all' is not valid; give one of train, val, test"),
        (["evaluate", "--split"], "--split: has no value; give --split=VALUE"),
        (["demo", "--port=x"], "--port: x is not a port; give an integer from 0 to 65535"),
        (["tran"], "COMMAND: 'tran' is not valid; give one of prepare, train, evaluate, sweep, "),
        (["test"], "COMMAND: 'test' is not valid; give one of prepare, train, evaluate, sweep, "),
        (
            ["--workdir=x", "train"],
            "--workdir=x: stands before the command; run pix2pix train --workdir=x",
        ),
        (
            ["--workdir", "x", "train"],
            "--workdir: stands before the command; run pix2pix train --workdir x",
        ),
        (["--Version"], "--Version: is not a command; did you mean --version?"),
        (["-V"], "-V: is not a command; did you mean --version?"),
        (["--foo"], "--foo: is not a command; give a command first: pix2pix COMMAND --foo"),
        (
            ["evaluate", "--split=validation"],
            "--split: 'validation' is not valid; give one of train, val, test; did you mean val?",
        ),
        (["train", "--config="], "--config: is empty; give an experiment, e.g. --config="),
        (["evaluate", "--step="], "--step: '' is not a step; give a number, newest or best"),
        (["demo", "--port=" + "9" * 5000], "--port: 9999"),
        (["sweep", "--list=x"], "--list: takes no value; give --list alone"),
    ],
)
def test_a_wrong_command_or_value_is_refused_in_one_line(arguments, line):
    assert refusal(parse, arguments).startswith(line)


@pytest.mark.parametrize(
    ("command", "arguments", "suggestion"),
    [
        ("train", ["--confg=x.py"], "did you mean --config=x.py?"),
        ("train", ["--work-dir=x"], "did you mean --workdir=x?"),
        ("train", ["--work-dir", "my runs"], "did you mean --workdir='my runs'?"),
        ("train", ["--steps=100"], "did you mean --config.train.steps=100?"),
        ("train", ["--batch_size", "4"], "did you mean --config.data.batch_size=4?"),
        ("train", ["--batchSize=4"], "did you mean --config.data.batch_size=4?"),
        ("train", ["--data.batch_size=4"], "did you mean --config.data.batch_size=4?"),
        ("train", ["--lr", "1e-4"], "did you mean --config.optimizer.learning_rate=1e-4?"),
        ("train", ["--LR=1e-4"], "did you mean --config.optimizer.learning_rate=1e-4?"),
        ("train", ["--lambda_L1=10"], "did you mean --config.loss.l1_weight=10?"),
        ("train", ["--no_flip"], "did you mean --config.data.flip=False?"),
        ("train", ["--dataroot=pairs"], "did you mean --config.data.source=pairs?"),
        ("translate", ["--dataroot=pairs"], "did you mean --input=pairs?"),
        ("translate", ["--results_dir=out"], "did you mean --output=out?"),
        ("evaluate", ["--phase=test"], "did you mean --split=test?"),
        ("translate", ["--no-dropout"], "did you mean --no_dropout?"),
        ("translate", ["--sed=3"], "did you mean --seed=3?"),
        ("train", ["--sed=3"], "did you mean --config.seed=3?"),
        ("translate", ["--steps=2"], "did you mean --step=2?"),  # not the field train.steps
        ("sweep", ["--seed=3"], "did you mean --seeds=3?"),
        ("train", ["--gpus=1"], "all devices are used; choose others by the variables "),
        ("train", ["-config=x.py"], "did you mean --config=x.py?"),
        ("train", ["--resume"], "leave this flag out: the same command resumes a run that was"),
        ("train", ["--continue_train=True"], "leave this flag out: the same command resumes a"),
        ("sweep", ["--auto-resume"], "leave this flag out: the same command resumes a run that"),
        ("train", ["--resume=runs/a"], "did you mean --workdir=runs/a?"),
        ("train", ["--resume", "runs/a"], "did you mean --workdir=runs/a?"),
        ("train", ["--pretrained=True"], "give a flag that --help lists"),  # True is no workdir
        ("train", ["--init_type=xavier"], "did you mean --config.model.initializer=xavier?"),
        ("train", ["--n_epochs_decay=50"], "did you mean --config.train.decay_epochs=50?"),
        ("train", ["--serial_batches"], "did you mean --config.data.shuffle=False?"),
        ("train", ["--max_dataset_size=9"], "did you mean --config.data.max_pairs=9?"),
        ("translate", ["--num_test=9"], "did you mean --max_images=9?"),
        ("translate", ["--eval"], "did you mean --running_statistics?"),
        ("train", ["--preprocess=crop"], "training resizes images to data.load_size, then crops"),
        ("train", ["--world_size=2"], "did you mean --num_processes=2?"),
        ("train", ["--pretrained=runs/a"], "did you mean --init=runs/a?"),
        ("train", ["--version"], "run pix2pix --version, without a command"),
        ("train", ["--num_workers", "8"], "the program chooses the number of threads that read"),
        ("train", ["--use_wandb"], "train always writes TensorBoard events and a page; leave"),
        ("export", ["--overwrite"], "leave this flag out: translate, evaluate and benchmark"),
        ("train", ["--lr_decay"], "did you mean --config.optimizer.schedule=linear_decay?"),
        ("train", ["--zzz=1"], "give a flag that --help lists, or a field that `pix2pix fields`"),
        ("train", ["--b2a"], "did you mean --config.data.direction=BtoA?"),
        ("train", ["--fp16=False"], "leave this flag out"),
        ("translate", ["--no-dropout", "photos"], "did you mean --no_dropout?"),
        ("evaluate", ["--ckpt", "/x/50"], "give a flag that --help lists, or a field that"),
        ("evaluate", ["--ckpt=50"], "did you mean --step=50?"),
        ("evaluate", ["--model_path=m.pth"], "first run pix2pix import --weights=m.pth --workdir="),
        ("train", ["--precision=bf16"], "did you mean --config.train.dtype=bfloat16?"),
        ("train", ["--netG=unet_256"], "did you mean --config.model.generator=unet?"),
        ("train", ["--netD", "basic"], "did you mean --config.model.discriminator=patch70?"),
        (
            "train",
            ["--lr_policy=linear"],
            "did you mean --config.optimizer.schedule=linear_decay?",
        ),
        ("train", ["--direction=atob"], "did you mean --config.data.direction=AtoB?"),
        ("train", ["--precision=int3"], "did you mean --config.train.dtype? Give 'float32' or"),
        ("train", ["--lr=abc"], "did you mean --config.optimizer.learning_rate? Give a number"),
        ("evaluate", ["--spli=tset"], "did you mean --split=test?"),
        ("evaluate", ["--spli=zzz"], "did you mean --split? Give one of train, val, test"),
        ("demo", ["--prt=x"], "did you mean --port? Give an integer from 0 to 65535"),
        ("train", ["--=3"], "give a flag that --help lists, or a field that `pix2pix fields`"),
        ("train", ["-1"], "give a flag that --help lists"),
        ("train", ["-b"], "give a flag that --help lists"),
    ],
)
def test_an_unknown_flag_is_refused_with_the_flag_or_field_that_was_meant(
    command, arguments, suggestion
):
    message = refusal(parse, [command, *arguments])
    assert message.startswith(f"{arguments[0]}: unknown flag; {suggestion}")
    if asked := re.search(r"did you mean (.*)\?$", message):
        _, fields = parse([command, *shlex.split(asked[1])])
        override(Config(), fields)


@pytest.mark.parametrize(
    ("command", "argument", "suggestion"),
    [
        ("train", "train.steps=100", "did you mean --config.train.steps=100?"),
        ("train", "lr=1e-4", "did you mean --config.optimizer.learning_rate=1e-4?"),
        ("train", "\u2013config=x.py", "did you mean --config=x.py?"),
        ("train", "\u2014-workdir=x", "did you mean --workdir=x?"),
        ("train", "experiments/facades.py", "did you mean --config=experiments/facades.py?"),
        ("train", "experiments/folder.py:my pairs", "did you mean --config='experiments/folder."),
        ("evaluate", "runs/first", "did you mean --workdir=runs/first?"),
        ("translate", "photos/1.png", "did you mean --input=photos/1.png?"),
        ("translate", "1.png", "put the path in quotes, for example --input='photos/*.png'"),
        ("train", "now", "give --FLAG=VALUE for a flag that --help lists"),
        ("fields", "train", "give --FLAG=VALUE for a flag that --help lists"),
    ],
)
def test_an_argument_without_dashes_is_refused_with_the_flag_that_was_meant(
    command, argument, suggestion
):
    message = refusal(parse, [command, argument])
    assert message.startswith(f"{argument}: does not begin with --; {suggestion}")


@pytest.mark.parametrize(
    ("command", "fix"),
    [
        (
            "report",
            "train, evaluate and sweep write their pages themselves; open report/index.html",
        ),
        ("plot", "train, evaluate and sweep write their pages themselves; open report/index.html"),
        ("setup", "run make setup in the folder of the repository"),
        ("exit", "press Ctrl-C to stop a command that runs"),
        ("resume", "did you mean train?"),
        ("print", "did you mean describe?"),
        ("exprt", "did you mean export?"),
    ],
)
def test_an_unknown_command_is_refused_with_the_command_that_was_meant(command, fix):
    message = refusal(parse, [command])
    assert message.startswith(f"COMMAND: '{command}' is not valid; ")
    assert fix in message
    assert ("did you mean" in message) == ("did you mean" in fix)


def test_a_field_without_an_equals_sign_is_refused_with_its_value():
    message = refusal(parse, ["train", "--config.train.steps", "100"])
    assert message == "--config.train.steps: has no value; give --config.train.steps=100"


def test_every_name_of_another_program_means_a_flag_or_a_field():
    _, parsers = make_parser()
    flags = {flag for parser in parsers.values() for flag in parser.flags}
    for targets in OTHER_NAMES.values():
        known = [name for name in targets if name.partition("=")[0] in flags | set(field_names())]
        assert known, targets
    assert set(OTHER_COMMANDS.values()) <= set(COMMANDS) | {"--help", "--version"}


def test_every_value_of_another_program_means_a_valid_value():
    for target in VALUES_BY_TARGETS:
        field, _, value = target.partition("=")
        override(Config(), {field: value})


def test_the_list_of_fields_takes_no_field():
    message = refusal(COMMANDS["fields"].run, *parse(["fields", "--config.model.norm=instance"]))
    assert message == "--config.model.norm: fields prints only the defaults; leave out this flag"


def test_pix2pix_alone_prints_the_help_and_fails(capsys):
    assert run_command([]) == 2
    out, err = capsys.readouterr()
    assert {line.split()[0] for line in out.splitlines() if line.strip()} > set(COMMANDS)
    assert err == "pix2pix: the command is missing; give one of the commands above\n"


def test_the_version_names_this_package_jax_and_python(capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(["--version"])
    assert stopped.value.code == 0
    versions = (pix2pix_jax.__version__, jax.__version__, platform.python_version())
    expected = "pix2pix_jax {} (JAX {}, Python {})\n".format(*versions)
    assert capsys.readouterr().out == expected
