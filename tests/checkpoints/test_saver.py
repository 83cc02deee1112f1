"""A failed save is printed; a failed removal of a checkpoint is not called a failed save."""

import numpy as np
import pytest
from helpers.refusals import refusal

from pix2pix_jax.checkpoints import saver, store
from pix2pix_jax.checkpoints.errors import SaveFailed
from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.saver import CheckpointSaver
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.config import Train
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.runs.workdir import Workdir


@pytest.fixture(scope="module")
def state(small):
    return create_state(small)


@pytest.fixture
def saves(state, tmp_path, monkeypatch):
    """A function that saves steps; some saves fail, before or after the files are on the disk."""
    monkeypatch.setattr(saver, "RETRY_SECONDS", 0)
    real = CheckpointStore.save

    def run(steps, failing, on_disk):
        def save(store, checkpoint):
            step = checkpoint.state.step
            if step in failing and not on_disk:
                raise SaveFailed(Workdir(tmp_path), "no room")
            real(store, checkpoint)
            if step in failing:
                store.wait()
                raise SaveFailed(Workdir(tmp_path), "Directory not empty")

        monkeypatch.setattr(CheckpointStore, "save", save)
        with CheckpointSaver(Workdir(tmp_path), Train(keep=9, max_failed_saves=2)) as checkpoints:
            for step in steps:
                numbered = Checkpoint(state.replace(step=np.int32(step)), Totals(), "pairs")
                checkpoints.save(numbered, is_last=step == steps[-1])
                checkpoints.poll()
        return Workdir(tmp_path).checkpoint_steps()

    return run


def test_a_step_is_saved_even_if_older_checkpoints_cannot_be_removed(saves, tmp_path, capsys):
    assert saves((1, 2, 3, 4), (1, 2, 4), on_disk=True) == [1, 2, 3, 4]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0] == (
        f"{tmp_path}/checkpoints: step 1 is saved, but older checkpoints could not be removed "
        "(Directory not empty); training continues"
    )


def test_failed_saves_that_are_not_in_a_row_do_not_end_the_run(saves, capsys):
    assert saves((1, 2, 3, 4), (1, 3), on_disk=False) == [2, 4]
    assert capsys.readouterr().err.count("this is failure 1 of 2 (train.max_failed_saves)") == 2


def test_two_failed_saves_in_a_row_end_the_run(saves):
    assert "step 3 is NOT SAVED (no room), 2 saves failed in a row" in refusal(
        saves, (1, 2, 3, 4), (2, 3), False
    )


def test_a_failed_save_is_printed_if_another_error_ends_the_run(
    small, tmp_path, monkeypatch, capsys
):
    class Full:
        """A manager of Orbax that notices a full disk in the background."""

        def save(self, *_, **__):
            return True

        def is_saving_in_progress(self):
            return True

        def wait_until_finished(self):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(store, "make_manager", lambda *_: Full())

    def run():
        with CheckpointSaver(Workdir(tmp_path), Train(max_failed_saves=1)) as checkpoints:
            checkpoints.save(
                Checkpoint(create_state(small).replace(step=np.int32(8)), Totals(), "pairs")
            )
            raise UsageError("loss/generator_gan is nan at step 9")

    assert refusal(run) == "loss/generator_gan is nan at step 9"
    assert "step 8 is NOT SAVED (No space left on device)" in capsys.readouterr().err
