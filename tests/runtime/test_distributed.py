"""Two processes with two devices each, as on two hosts, over the loopback network."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from helpers.command_line import metrics, start, train
from helpers.refusals import refusal
from helpers.shared_folders import make_once
from jax.errors import JaxRuntimeError

from pix2pix_jax.runtime import distributed
from pix2pix_jax.runtime.process_group import Messages

FOUR = ("--config.data.batch_size=4", "--config.train.keep=9")
LOSS_NOTICED = 15  # seconds until a process ends after the other process was killed


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def flags(index, port):
    """The flags and the environment variables of process `index` of two."""
    several = (f"--coordinator=127.0.0.1:{port}", "--num_processes=2")
    return (*several, f"--process_id={index}"), {}


def slurm_variables(index, port):
    """The variables that srun sets for its tasks; JAX derives the port from the job's id."""
    return (), {
        "SLURM_JOB_ID": str(port), "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": str(index), "SLURM_LOCALID": str(index),
    }  # fmt: skip


def open_mpi_variables(index, port):
    """The variables that mpirun sets for its processes."""
    return (), {
        "OMPI_MCA_orte_hnp_uri": f"{port * 4096}.0;tcp://127.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": str(index),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(index),
    }  # fmt: skip


def start_two(tiny_flags, workdir, steps, *more, identify=flags):
    """Starts the same command as process 0 and process 1 of two."""
    port, processes = free_port(), []
    for index in range(2):
        more_flags, environment = identify(index, port)
        command = (
            "train",
            *tiny_flags,
            *FOUR,
            f"--workdir={workdir}",
            f"--config.train.steps={steps}",
        )
        processes.append(
            start(*command, *more, *more_flags, JAX_NUM_CPU_DEVICES="2", **environment)
        )
    return processes


def results(processes, seconds=180):
    """(status, stdout, stderr) of each process, once all have ended."""
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
        assert all(process.poll() is None for process in processes), results(processes)
        time.sleep(0.01)


@pytest.fixture(scope="module")
def one_process(tiny_flags, tmp_path_factory):
    """The workdir of a run of twelve steps, by one process with four devices."""

    def train_alone(workdir):
        status, _, err = train(tiny_flags, workdir, 12, *FOUR, JAX_NUM_CPU_DEVICES="4")
        assert (status, err) == (0, "")

    return make_once(tmp_path_factory, "one_process", train_alone)


def assert_close(found, expected):
    """Asserts equal metrics up to rounding, because the sum over devices has another order."""
    assert found.keys() == expected.keys()
    for step, values in expected.items():
        assert found[step] == pytest.approx(values, rel=1e-4), step


def test_two_processes_learn_the_same_as_one_process(tiny_flags, one_process, tmp_path):
    first, second = results(start_two(tiny_flags, tmp_path, 12))
    assert (first[0], first[2]) == (0, "")
    assert (second[0], second[2]) == (0, "")
    assert "12 steps done" in first[1]
    assert "steps" not in second[1]
    assert_close(metrics(tmp_path), metrics(one_process))


SUM = """if True:
    import sys
    import jax
    from pix2pix_jax.runtime import distributed
    processes = distributed.join(distributed.ProcessFlags())
    numbers = jax.numpy.full(jax.local_device_count(), 1 + jax.process_index())
    total = jax.pmap(lambda x: jax.lax.psum(x, "all"), axis_name="all")(numbers)[0]
    print(f"process {jax.process_index()} of 2: the sum is {total}", file=sys.stderr)
    """


@pytest.mark.slow
@pytest.mark.parametrize("identify", [slurm_variables, open_mpi_variables])
def test_processes_of_a_launcher_find_each_other_without_flags(identify):
    """Each device has the number 1 or 2, and the sum over all four devices is 6."""
    port = free_port()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SUM],
            env=os.environ | {"JAX_NUM_CPU_DEVICES": "2"} | identify(index, port)[1],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for index in range(2)
    ]  # fmt: skip
    for index, (status, _, err) in enumerate(results(processes)):
        assert (status, err) == (0, f"process {index} of 2: the sum is 6\n")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "size"), [(signal.SIGTERM, 4), (signal.SIGINT, 1)])
def test_a_signal_to_one_process_stops_and_saves_both_processes(
    tiny_flags, one_process, tmp_path, number, size
):
    """A call to the devices runs one step, or several steps."""
    calls = f"--config.train.steps_per_call={size}"
    processes = start_two(tiny_flags, tmp_path, 1_000_000, calls)
    wait_for(tmp_path / "metrics.jsonl", processes)
    processes[1].send_signal(number)
    first, second = results(processes)
    assert (first[0], second[0]) == (143, 128 + number)
    step = int(first[1].partition("stopped at step ")[2].split()[0])
    assert max(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == step


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_a_process_is_lost_the_other_process_ends_and_the_same_command_resumes(
    tiny_flags, one_process, tmp_path, victim
):
    processes = start_two(tiny_flags, tmp_path, 12)
    wait_for(tmp_path / "checkpoints" / "4", processes)
    processes[victim].kill()
    killed = time.monotonic()
    status, _, err = results(processes)[1 - victim]
    assert status in (75, -signal.SIGABRT)  # A shell shows SIGABRT as 134.
    assert time.monotonic() - killed < LOSS_NOTICED
    lines = re.findall(r"^process . of 2 (?:has ended|cannot continue).*$", err, re.M)
    assert len(lines) == 1
    assert lines[0].startswith(f"process {1 - victim} ")
    assert lines[0].endswith(
        "run the same command on all hosts to resume from the newest checkpoint"
    )
    assert "Traceback" not in err
    first, _ = results(start_two(tiny_flags, tmp_path, 12))
    assert first[0] == 0
    assert "resuming from step" in first[1]
    assert_close(metrics(tmp_path), metrics(one_process))


@pytest.mark.slow
def test_a_run_of_two_processes_resumes_on_any_number_of_devices(tiny_flags, one_process, tmp_path):
    for status, _, err in results(start_two(tiny_flags, tmp_path, 4)):
        assert (status, err) == (0, "")
    for steps, count in ((8, 1), (12, 4)):
        status, out, err = train(tiny_flags, tmp_path, steps, *FOUR, JAX_NUM_CPU_DEVICES=str(count))
        assert (status, err) == (0, "")
    assert_close(metrics(tmp_path), metrics(one_process))


def own_lines(err):
    """The lines of a process without those in which JAX logs that the other does not answer."""
    return [line for line in err.splitlines() if not re.match(r"[WE]\d{4} ", line)]


def test_an_error_of_the_first_process_ends_the_second_process(tiny_flags, tmp_path):
    """Both processes exit with status 2, so that a launcher does not try again."""
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)  # a checkpoint of an unknown run
    first, second = results(start_two(tiny_flags, tmp_path, 4))
    reason = f"{tmp_path}/config.json: is missing"
    assert (first[0], second[0]) == (2, 2)
    assert first[2].startswith(reason)
    [line] = own_lines(second[2])
    assert line.startswith(f"process 0 of 2 has ended: {reason}")
    assert len(own_lines(first[2])) == 1


@pytest.mark.slow
def test_an_error_of_the_second_process_ends_the_first_process(tiny_flags, tmp_path):
    (tmp_path / "file").touch()

    def identify(index, port):
        more_flags, environment = flags(index, port)
        place = tmp_path / ("file" if index else "data")
        return (*more_flags, f"--config.data.data_dir={place}"), environment

    first, second = results(start_two(tiny_flags, tmp_path / "run", 4, identify=identify))
    assert (first[0], second[0]) == (2, 2), (first, second)
    assert first[2].startswith("process 1 of 2 has ended: ")
    assert str(tmp_path / "file") in first[2]
    assert second[2].startswith(f"{tmp_path}/file")
    assert [len(own_lines(err)) for err in (first[2], second[2])] == [1, 1]


UPLOADS = """if True:
    import sys, time
    from contextlib import contextmanager
    from pix2pix_jax.errors import UsageError
    from pix2pix_jax.runtime import distributed, process_group
    distributed.HEARTBEAT_TIMEOUT = 3
    distributed.LEAVE_TIMEOUT = process_group.LEAVE_TIMEOUT = 2
    port, index, failing = map(eval, sys.argv[1:])
    others = distributed.join(distributed.ProcessFlags(f"127.0.0.1:{port}", 2, index))

    @contextmanager
    def upload():
        try:
            yield
        finally:
            if index == 0:
                time.sleep(12)
                print("uploaded")

    try:
        with (
            others.explain_lost_process(), others.report_errors(), upload(), others.report_errors()
        ):
            if index in failing:
                raise UsageError("loss is nan")
            distributed.wait_for_all("never")
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    """


@pytest.mark.slow
@pytest.mark.parametrize("failing", [(0, 1), (0,)])
def test_the_first_process_exits_last_and_all_have_the_same_status(failing):
    """The first process uploads for longer than all timeouts of the other process."""
    port = free_port()
    commands = [[sys.executable, "-c", UPLOADS, str(port), str(i), str(failing)] for i in range(2)]
    first, second = results(
        [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for command in commands
        ]
    )
    assert (first[0], first[2]) == (2, "loss is nan\n")
    assert first[1].endswith("uploaded\n")  # Gloo prints lines, too
    assert second[0] == 2
    assert second[2] in ("loss is nan\n", "process 0 of 2 has ended: loss is nan\n")


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_process_that_finds_no_other_process_gives_the_reason(index):
    script = f"""if True:
        from pix2pix_jax.runtime import distributed
        distributed.CONNECT_TIMEOUT = 3
        distributed.join(distributed.ProcessFlags("127.0.0.1:{free_port()}", 2, {index}))
        """
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert process.returncode != 0
    lines = [
        line for line in process.stderr.splitlines() if line.startswith("--coordinator: the o")
    ]
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("coordinator", "process_id", "expected"),
    [
        ("a:1", None, "--process_id: is missing"),
        ("a", 0, "--coordinator: a is not a host and a port"),
        (":1", 0, "--coordinator: :1 is not a host and a port"),
        ("a:65536", 0, "--coordinator: a:65536 is not a host and a port; give HOST:PORT with a"),
        ("a:1", 2, "--process_id: 2 is not below"),
    ],
)
def test_flags_that_do_not_fit_together_are_refused(coordinator, process_id, expected):
    given = distributed.ProcessFlags(coordinator, num_processes=2, process_id=process_id)
    assert refusal(distributed.join, given).startswith(expected)


class Store(dict):
    """A key-value store that fails as the store of JAX fails."""

    def key_value_set(self, key, value):
        if key in self:
            raise JaxRuntimeError("ALREADY_EXISTS")
        self[key] = value

    def key_value_try_get(self, key):
        if key not in self:
            raise JaxRuntimeError("NOT_FOUND")
        return self[key]


def test_the_first_message_under_a_key_stays():
    messages = Messages(Store())
    assert messages.read("error") is None
    messages.send("error", "no pairs")
    messages.send("error", "another one")
    messages.send("done")
    assert (messages.read("error"), messages.read("done")) == ("no pairs", "")


def test_a_fault_in_our_use_of_the_store_is_not_hidden():
    """JAX may rename a method of its store; then no process would hear of an error."""
    with pytest.raises(AttributeError):
        Messages(object()).read("error")
    with pytest.raises(AttributeError):
        Messages(object()).send("error")


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ("message.set('cannot join'); message.set('lost')", "lost\n"),
        ("message.set('lost'); message.cancel()", ""),
        ("", ""),  # The process has no message yet.
    ],
)
def test_the_crash_message_is_printed_if_the_process_is_aborted(calls, expected):
    script = f"""if True:
        import os
        from pix2pix_jax.runtime.process_group import CrashMessage
        message = CrashMessage()
        {calls}
        os.abort()
        """
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (-signal.SIGABRT, expected)


def test_a_process_that_trains_alone_changes_no_error():
    processes = distributed.join(distributed.ProcessFlags(num_processes=1))
    with (
        pytest.raises(JaxRuntimeError),
        processes.explain_lost_process(),
        processes.report_errors(),
    ):
        raise JaxRuntimeError("INTERNAL")
