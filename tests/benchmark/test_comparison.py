"""`compare` times implementations in turns, each in its own process."""

import multiprocessing
from pathlib import Path

import pytest
from helpers.refusals import refusal

from pix2pix_jax.benchmark import comparison, peers, worker
from pix2pix_jax.benchmark.comparison import Turns, compare
from pix2pix_jax.benchmark.results import OURS
from pix2pix_jax.benchmark.worker import WorkerFailed, WorkerTarget
from pix2pix_jax.config import Config, Data
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.errors import UsageError

TRIALS = Path(__file__).parents[1] / "helpers" / "trials.py"


@pytest.fixture
def timed(tmp_path, monkeypatch):
    """A function that compares implementations of TRIALS.

    The function returns the measurements and the lines of the log.
    """

    def timed(*names, rounds=3, find_mismatches=lambda found: {}):
        log = tmp_path / "log"
        log.touch()
        targets = {name: WorkerTarget(TRIALS, name) for name in names}
        variables = {"TRIALS": str(log)}
        found = compare(targets, resolve(Config()), Turns(rounds, 0), variables, find_mismatches)
        return found, log.read_text().split("\n")[:-1]

    return timed


def test_implementations_take_turns(timed):
    """Three runs come first: one compiles, one warms up, one finds how many steps fill a turn."""
    found, lines = timed("first", "second")
    begin = ["first 1", "first 1", "second 4", "second 4", "first 1", "second 4"]
    assert lines == begin + ["first 1", "second 4"] * 3
    assert list(found) == ["first", "second"]
    assert found["first"]["parameters"] == [3, 2]
    assert found["first"]["peak_memory_mib"] == 5


def test_the_result_is_the_median_of_the_turns(monkeypatch):
    """The worker is replaced by given seconds per step."""
    seconds = iter([9.0, 3.0, 1.0, 2.0, 8.0, 4.0])  # The first number is measured before the turns.

    class Worker:
        def __init__(self, *_):
            pass

        def receive_answer(self):
            return {"steps": 1, "first_step_seconds": 7.0, "parameters": [1, 1], "devices": ["cpu"]}

        def ask(self, steps):
            return next(seconds) if steps else 5 * 2**20

        def close(self):
            pass

    monkeypatch.setattr(comparison, "Worker", Worker)
    config = resolve(Config(data=Data(batch_size=6)))
    targets = {"one": WorkerTarget(TRIALS, "first")}
    found = compare(targets, config, Turns(5), {}, lambda found: {})["one"]
    assert found["seconds_per_step"] == 3.0
    assert found["turns"] == [3.0, 1.0, 2.0, 8.0, 4.0]
    assert found["images_per_second"] == 2.0
    assert found["quartiles"] == [2.0, 4.0]
    assert found["first_step_seconds"] == 7.0
    assert found["peak_memory_mib"] == 5


def test_failures_are_named_and_other_implementations_are_timed(timed):
    found, lines = timed("broken", "first", "ending", "killed", "tiring")
    assert found["broken"] == {"failed": "ValueError: no such thing; see the traceback on stderr"}
    assert found["ending"] == {
        "failed": "the process ended with status 3; see its output on stderr"
    }
    assert found["killed"]["failed"].startswith(
        "the process was killed, probably for lack of memory; give "
    )
    # Its second turn fails.
    assert found["tiring"] == {"failed": "RuntimeError: no more; see the traceback on stderr"}
    assert found["first"]["seconds_per_step"] >= 0
    assert lines[-1] == "first 1"


def test_an_error_that_the_user_can_fix_ends_the_comparison(timed):
    assert refusal(timed, "refusing") == "data.batch_size: no"


@pytest.mark.parametrize(
    ("name", "debug", "expected"),
    [
        ("broken", "0", "ValueError: no such thing\nand more"),
        ("refusing", "0", None),
        ("refusing", "1", "UsageError: data.batch_size: no"),
    ],
)
def test_the_traceback_of_a_failed_worker_is_printed(name, debug, expected, monkeypatch, capsys):
    """If the user can fix the error, its traceback is printed only with PIX2PIX_DEBUG=1."""
    monkeypatch.setenv("PIX2PIX_DEBUG", debug)
    with pytest.raises((WorkerFailed, UsageError)):
        worker.run_in_worker(WorkerTarget(TRIALS, name), resolve(Config()), {})
    printed = capsys.readouterr().err
    if expected is None:
        assert printed == ""
    else:
        assert f'{TRIALS}", line ' in printed
        assert f"in {name}\n" in printed
        assert expected in printed


def test_peers_with_other_networks_or_devices_are_left_out_after_their_first_steps(timed):
    def mismatches_here(found):
        reasons = peers.find_mismatches_or_raise(rename(found, OURS, "first"))
        assert peers.find_mismatches(rename(found, OURS, "broken")) == {}
        return reasons

    found, lines = timed("first", "other", "elsewhere", "broken", find_mismatches=mismatches_here)
    assert found["other"] == {
        "failed": "has networks with 3 and 1 parameters, but our networks have 3 and 2"
    }
    reason = "uses 1 gpu, but our implementation uses 1 cpu; set JAX_PLATFORMS=cpu"
    assert found["elsewhere"] == {"failed": reason}
    assert len(found["first"]["turns"]) == 3
    assert lines.count("elsewhere 1") == 2  # Both runs come before the turns.


def rename(found, new, old):
    """Renames one implementation in the measurements."""
    return {new if name == old else name: result for name, result in found.items()}


@pytest.mark.slow
def test_a_peer_that_does_not_answer_is_left_out_and_its_process_ends(timed, monkeypatch):
    monkeypatch.setattr(worker, "ANSWER_TIMEOUT", 10)
    before, alive = set(multiprocessing.active_children()), []

    def find_mismatches(found):
        alive.append(len(set(multiprocessing.active_children()) - before))
        return {}

    found, _ = timed("sleeping", "first", find_mismatches=find_mismatches)
    reason = "no answer in 10 s; give a smaller --config.data.batch_size"
    assert found["sleeping"] == {"failed": reason}
    assert len(found["first"]["turns"]) == 3
    assert alive == [1]
