"""`--help` marks the flags that a command needs; the error of an unknown flag has a fix."""

import pytest
from helpers.refusals import refusal

from pix2pix_jax.cli.main import COMMANDS, parse

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
        ([], "pix2pix: the command is missing; see pix2pix --help"),
        (["--workdir=x", "train"], "--workdir=x: stands before the command; give it after"),
        (["sweep", "--list=x"], "--list: takes no value; give --list alone"),
    ],
)
def test_a_wrong_command_or_value_is_refused_in_one_line(arguments, line):
    assert refusal(parse, arguments).startswith(line)


@pytest.mark.parametrize(
    ("command", "flag", "suggestion"),
    [
        ("train", "--confg=x", "did you mean --config?"),
        ("train", "--work-dir=x", "did you mean --workdir?"),
        ("translate", "--no-dropout", "did you mean --no_dropout?"),
        ("translate", "--sed=3", "did you mean --seed?"),
        ("train", "--sed=3", "did you mean --config.seed?"),
        ("translate", "--steps=2", "did you mean --step?"),  # not the field train.steps
        ("sweep", "--seed=3", "did you mean --seeds?"),
        ("train", "--batch_size=4", "did you mean --config.data.batch_size?"),
        ("train", "--data.batch_size=4", "did you mean --config.data.batch_size?"),
        ("train", "--gpus=1", "give a flag that --help lists, or set a field by --config.GROUP."),
    ],
)
def test_an_unknown_flag_is_refused_with_the_closest_flag(command, flag, suggestion):
    message = refusal(parse, [command, flag])
    assert message.startswith(f"{flag}: unknown flag; {suggestion}")
