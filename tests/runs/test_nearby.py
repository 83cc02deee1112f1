"""A workdir that is not a run is refused with the runs nearby."""

from pathlib import Path

import pytest

from pix2pix_jax.runs.nearby import MAX_ENTRIES, MAX_NAMED, explain_no_run, find_runs_nearby
from pix2pix_jax.runs.workdir import SweepFolder, Workdir


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The folder of some runs, inside the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/first", "runs/second", "runs/field/patch70"):
        make_run(Path(name))
    Path("photos").mkdir()
    Path("photos/config.json").touch()  # a config.json of another program
    return Path("runs")


def make_run(folder):
    workdir = Workdir(folder)
    workdir.checkpoints_folder.mkdir(parents=True)
    workdir.config_file.touch()


@pytest.mark.parametrize(
    ("folder", "first"),
    [
        ("runs/frist", "runs/first"),
        ("runs/secnd", "runs/second"),
        ("runs/patch70", "runs/field/patch70"),
        ("frist", "runs/first"),
        ("runs/first/checkpoints", "runs/first"),
        ("runs/first/config.json", "runs/first"),
        ("photos", "runs/first"),
    ],
)
def test_the_run_with_the_most_similar_path_comes_first(runs, folder, first):
    assert find_runs_nearby(Path(folder))[0] == first


def test_the_runs_inside_a_folder_are_nearby(runs):
    assert set(find_runs_nearby(runs)) == {"runs/first", "runs/second", "runs/field/patch70"}
    absolute = find_runs_nearby(runs.absolute())
    assert set(absolute) == {str(Path(name).absolute()) for name in find_runs_nearby(runs)}


def test_few_of_many_runs_are_named(runs):
    for index in range(20):
        make_run(runs / str(index))
    assert len(find_runs_nearby(runs / "third")) == MAX_NAMED


def test_a_search_looks_at_a_limited_number_of_entries(runs, monkeypatch):
    """Each entry may take a millisecond on a network disk."""
    for outer in range(40):
        for inner in range(40):
            (runs / str(outer) / str(inner)).mkdir(parents=True)
    seen = []
    monkeypatch.setattr("pix2pix_jax.runs.nearby.is_run", seen.append)
    assert find_runs_nearby(runs / "third") == []
    assert len(seen) <= MAX_ENTRIES + len((runs / "third").parents)


def test_a_workdir_that_is_not_a_run_is_refused_with_the_runs_nearby(runs):
    message = str(explain_no_run(Workdir(runs / "frist")))
    assert message.startswith(
        "runs/frist/config.json: not found, so runs/frist is not the workdir of a run; give the "
        "--workdir of a run, such as runs/first or "
    )


def test_the_folder_of_a_sweep_is_refused_with_the_runs_inside_it(runs):
    SweepFolder(runs / "field").results_file.touch()
    message = str(explain_no_run(Workdir(runs / "field")))
    assert message.startswith("--workdir: runs/field is the folder of a sweep; give the folder of ")
    assert "runs/field/patch70" in message


def test_without_a_run_nearby_the_error_names_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = str(explain_no_run(Workdir(Path("nowhere"))))
    assert message.startswith(f"nowhere/config.json: not found in {tmp_path}, so nowhere is not ")
    assert message.endswith(
        "; give the --workdir of a run, or start a run with `pix2pix train --config=FILE`"
    )
