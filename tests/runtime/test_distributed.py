"""Two processes of two devices each, as on two hosts, over a network of this machine alone."""

import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from helpers.command_line import metrics, refused, start, train

FOUR = ("--config.data.batch_size=4", "--config.train.keep=9")
LOST = 15  # seconds after which a process has noticed that another one is lost


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def flags(index, port):
    several = (f"--coordinator=127.0.0.1:{port}", "--num_processes=2")
    return (*several, f"--process_id={index}"), {}


def by_slurm(index, port):
    """What srun tells its tasks; JAX makes a port of the number of the job."""
    return (), {
        "SLURM_JOB_ID": str(port), "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": str(index), "SLURM_LOCALID": str(index),
    }  # fmt: skip


def by_open_mpi(index, port):
    """What mpirun tells its processes."""
    return (), {
        "OMPI_MCA_orte_hnp_uri": f"{port * 4096}.0;tcp://127.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": str(index),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(index),
    }  # fmt: skip


def start_two(tiny, workdir, steps, *more, told=flags):
    """The same command twice; and which it is of the two."""
    port, processes = free_port(), []
    for index in range(2):
        known, environment = told(index, port)
        command = ("train", *tiny, *FOUR, f"--workdir={workdir}", f"--config.train.steps={steps}")
        processes.append(start(*command, *more, *known, JAX_NUM_CPU_DEVICES="2", **environment))
    return processes


def ended(processes, seconds=180):
    """Status, output and errors of each."""
    until = time.monotonic() + seconds
    try:
        texts = [p.communicate(timeout=until - time.monotonic()) for p in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, *text) for p, text in zip(processes, texts, strict=True)]


def wait_for(path, processes, seconds=180):
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until
        assert all(process.poll() is None for process in processes), ended(processes)
        time.sleep(0.01)


@pytest.fixture(scope="module")
def alone(tiny, tmp_path_factory):
    """12 steps by one process of four devices."""
    workdir = tmp_path_factory.mktemp("alone")
    status, _, err = train(tiny, workdir, 12, *FOUR, JAX_NUM_CPU_DEVICES="4")
    assert (status, err) == (0, "")
    return workdir


def assert_alike(found, expected):
    """Equal but for the order in which devices are summed over."""
    assert found.keys() == expected.keys()
    for step, values in expected.items():
        assert found[step] == pytest.approx(values, rel=1e-4), step


def test_two_processes_see_and_learn_the_same_as_one(tiny, alone, tmp_path):
    first, second = ended(start_two(tiny, tmp_path, 12))
    assert (first[0], first[2]) == (0, "")
    assert (second[0], second[2]) == (0, "")
    assert "12 steps done" in first[1]
    assert "steps" not in second[1]
    assert_alike(metrics(tmp_path), metrics(alone))


@pytest.mark.slow
@pytest.mark.parametrize("told", [by_slurm, by_open_mpi])
def test_what_starts_many_processes_tells_them_of_one_another(tiny, alone, tmp_path, told):
    for status, _, err in ended(start_two(tiny, tmp_path, 12, told=told)):
        assert (status, err) == (0, "")
    assert_alike(metrics(tmp_path), metrics(alone))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "size"), [(signal.SIGTERM, 4), (signal.SIGINT, 1)])
def test_a_signal_to_one_stops_and_saves_both(tiny, alone, tmp_path, number, size):
    """Whether a call to the devices has many steps or one."""
    calls = f"--config.train.steps_per_call={size}"
    processes = start_two(tiny, tmp_path, 1_000_000, calls)
    wait_for(tmp_path / "metrics.jsonl", processes)
    processes[1].send_signal(number)
    first, second = ended(processes)
    assert (first[0], second[0]) == (143, 128 + number)
    step = int(first[1].partition("stopped at step ")[2].split()[0])
    assert max(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == step


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_lost_the_other_ends_and_the_same_command_goes_on(
    tiny, alone, tmp_path, victim
):
    processes = start_two(tiny, tmp_path, 12)
    wait_for(tmp_path / "checkpoints" / "4", processes)
    processes[victim].kill()
    killed = time.monotonic()
    status, _, err = ended(processes)[1 - victim]
    assert status in (75, -signal.SIGABRT)  # in a shell, 134
    assert time.monotonic() - killed < LOST
    said = re.findall(r"^process . of 2 (?:has ended|cannot go on).*$", err, re.M)
    assert len(said) == 1
    assert said[0].startswith(f"process {1 - victim} ")
    assert said[0].endswith("the same command on all hosts goes on from the newest checkpoint")
    assert "Traceback" not in err
    first, _ = ended(start_two(tiny, tmp_path, 12))
    assert first[0] == 0
    assert "going on from step" in first[1]
    assert_alike(metrics(tmp_path), metrics(alone))


@pytest.mark.slow
def test_saved_by_two_processes_a_run_goes_on_with_any_number_of_devices(tiny, alone, tmp_path):
    for status, _, err in ended(start_two(tiny, tmp_path, 4)):
        assert (status, err) == (0, "")
    for steps, count in ((8, 1), (12, 4)):
        status, out, err = train(tiny, tmp_path, steps, *FOUR, JAX_NUM_CPU_DEVICES=str(count))
        assert (status, err) == (0, "")
    assert_alike(metrics(tmp_path), metrics(alone))


def test_what_the_first_refuses_ends_the_other_as_well(tiny, tmp_path):
    """With the same status, so that whatever has started them does not try again."""
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)  # of who knows which run
    first, second = ended(start_two(tiny, tmp_path, 4))
    refused = f"{tmp_path}/config.json: is missing"
    assert (first[0], second[0]) == (2, 2)
    assert first[2].startswith(refused)
    assert second[2].startswith(f"process 0 of 2 has ended: {refused}")
    assert [len(err.splitlines()) for err in (first[2], second[2])] == [1, 1]


@pytest.mark.slow
def test_what_another_one_refuses_ends_the_first_as_well(tiny, tmp_path):
    (tmp_path / "file").touch()

    def told(index, port):
        known, environment = flags(index, port)
        place = tmp_path / ("file" if index else "data")
        return (*known, f"--config.data.data_dir={place}"), environment

    first, second = ended(start_two(tiny, tmp_path / "run", 4, told=told))
    assert (first[0], second[0]) == (2, 2), (first, second)
    assert first[2].startswith("process 1 of 2 has ended: ")
    assert str(tmp_path / "file") in first[2]
    assert second[2].startswith(f"{tmp_path}/file")
    assert [len(err.splitlines()) for err in (first[2], second[2])] == [1, 1]


ENDS = """if True:
    import sys, time
    from contextlib import contextmanager
    from pix2pix_jax.runtime import distributed as hosts
    from pix2pix_jax.config import UsageError
    hosts.LOST, hosts.LEAVING = 3, 2
    port, index, failing = map(eval, sys.argv[1:])
    hosts.join(f"127.0.0.1:{port}", 2, index)

    @contextmanager
    def sending():
        try:
            yield
        finally:
            if index == 0:
                time.sleep(12)
                print("sent")

    try:
        with hosts.lost_errors(), hosts.errors_told(), sending(), hosts.errors_told():
            if index in failing:
                raise UsageError("loss is nan")
            hosts.wait_for_all("never")
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    """


@pytest.mark.slow
@pytest.mark.parametrize("failing", [(0, 1), (0,)])
def test_the_first_one_ends_last_and_all_with_the_same_status(failing):
    """Though it has to send for longer than a process may be silent, or wait for others."""
    port = free_port()
    words = [[sys.executable, "-c", ENDS, str(port), str(i), str(failing)] for i in range(2)]
    first, second = ended(
        [
            subprocess.Popen(w, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for w in words
        ]
    )
    assert (first[0], first[2]) == (2, "loss is nan\n")
    assert first[1].endswith("sent\n")  # Gloo speaks, too
    assert second[0] == 2
    assert second[2] in ("loss is nan\n", "process 0 of 2 has ended: loss is nan\n")


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_one_that_finds_no_other_says_so(monkeypatch, index):
    script = f"""if True:
        from pix2pix_jax.runtime import distributed as hosts
        hosts.CONNECTING = 3
        hosts.join("127.0.0.1:{free_port()}", 2, {index})
        """
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert process.returncode != 0
    said = [line for line in process.stderr.splitlines() if line.startswith("--coordinator: the o")]
    assert len(said) == 1


def test_flags_that_do_not_fit_together_are_refused(tiny, tmp_path):
    command = ("train", *tiny, f"--workdir={tmp_path}")
    refused("--process_id: is missing", *command, "--coordinator=a:1", "--num_processes=2")
    flagged = ("--num_processes=2", "--process_id=0")
    refused("--coordinator: a has no port", *command, "--coordinator=a", *flagged)
    several = ("--coordinator=a:1", "--num_processes=2", "--process_id=2")
    refused("--process_id: 2 is not below", *command, *several)
