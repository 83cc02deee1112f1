"""train.init names the run to start from, and maybe the step of its checkpoint."""

from pathlib import Path

import pytest

from pix2pix_jax.config import Config, Train
from pix2pix_jax.config.initial_run import InitialRun
from pix2pix_jax.config.resolve import resolve


@pytest.mark.parametrize(
    ("text", "location", "step"),
    [
        ("runs/a", "runs/a", "newest"),
        ("runs/a:4000", "runs/a", 4000),
        ("runs/a:0", "runs/a", 0),
        ("runs/a:best", "runs/a", "best"),
        ("runs/a:newest", "runs/a", "newest"),
        ("runs/12:30", "runs/12", 30),
        ("runs/a:b", "runs/a:b", "newest"),
        ("gs://bucket/a", "gs://bucket/a", "newest"),
        ("gs://bucket/a:best", "gs://bucket/a", "best"),
    ],
)
def test_a_step_may_follow_the_workdir(text, location, step):
    run = InitialRun.parse(text)
    assert (run.location, run.step) == (location, step)
    assert InitialRun.parse(str(run)) == run


def test_the_path_becomes_absolute_and_the_step_stays(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = resolve(Config(train=Train(init="runs/a:best")))
    assert config.train.init == f"{tmp_path}/runs/a:best"
    assert resolve(config) == config
    bucket = resolve(Config(train=Train(init="gs://bucket/a/")))
    assert bucket.train.init == "gs://bucket/a"


def test_newest_and_best_agree_with_any_recorded_step(tmp_path):
    """The recorded step is the newest or the best step of the time when the run started."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")
    recorded = f"{tmp_path}/a:40"
    for text in (f"{tmp_path}/a", f"{tmp_path}/a:best", f"{tmp_path}/a:40", f"{link}:40"):
        assert InitialRun.parse(text).is_start_of(recorded), text
    for text in (f"{tmp_path}/a:41", f"{tmp_path}/b", "gs://bucket/a"):
        assert not InitialRun.parse(text).is_start_of(recorded), text
    assert not InitialRun(str(Path("a"))).is_start_of(None)
