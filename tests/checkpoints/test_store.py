"""A checkpoint is restored to the bit or not at all, and no other checkpoint is lost."""

import errno
import json
import re
import shutil
from copy import deepcopy
from dataclasses import replace

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from helpers.refusals import refusal

from pix2pix_jax.checkpoints import reader as checkpoint_reader
from pix2pix_jax.checkpoints.checksums import ChecksumHandler, add_hash
from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.runs.workdir import Workdir


@pytest.fixture(scope="module")
def state(small):
    """A state in which no two leaves are alike."""
    numbers = iter(range(1, 1000))
    return jax.tree.map(
        lambda leaf: np.asarray(leaf + leaf.dtype.type(next(numbers))),
        jax.device_get(create_state(small)),
    )


@pytest.fixture(scope="module")
def template(small):
    return jax.eval_shape(lambda: create_state(small))


TOTALS = Totals(3, {"loss": 0.1 + 0.2})


def save(workdir, state, *steps, keep=3, best="l1", scores=None):
    with CheckpointStore(Workdir(workdir), keep, best) as store:
        for step in steps:
            numbered, score = state.replace(step=np.int32(step)), (scores or {}).get(step, {})
            store.save(Checkpoint(numbered, TOTALS, "facades", score))


def restore(workdir, template, data="facades"):
    with CheckpointStore(Workdir(workdir), 3, "l1") as store:
        restored = store.restore_newest(template, data)
    assert restored.totals == TOTALS
    return restored.state


def flip_a_byte(directory):
    """Changes a byte in the middle of the largest file, where the values are."""
    largest = max((p for p in directory.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def test_a_checkpoint_is_restored_to_the_bit(tmp_path, state, template):
    save(tmp_path, state, 5)
    restored = restore(tmp_path, template)
    assert restored.step == 5
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    found, expected = (jax.tree.leaves((s.generator, s.discriminator)) for s in (restored, state))
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_the_newest_checkpoints_are_kept(tmp_path, state):
    save(tmp_path, state, 1, 2, 3, 4, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["3", "4"]


def test_a_new_folder_restores_nothing(tmp_path, template):
    with CheckpointStore(Workdir(tmp_path), 3, "l1") as store:
        assert store.restore_newest(template, "facades") is None


@pytest.mark.parametrize("item", ["generator", "discriminator", "optimizer", "origin"])
def test_if_a_byte_is_flipped_the_previous_checkpoint_is_restored(
    tmp_path, state, template, item, capsys
):
    save(tmp_path, state, 1, 2)
    flip_a_byte(tmp_path / "checkpoints" / "2" / item)
    assert restore(tmp_path, template).step == 1
    assert "checkpoint 2 is rejected" in capsys.readouterr().err
    assert (tmp_path / "rejected" / "2-0" / item).is_dir()  # The checkpoint is kept.


def test_a_rejected_step_can_be_reached_and_saved_again(tmp_path, state, template):
    save(tmp_path, state, 1, 2)
    flip_a_byte(tmp_path / "checkpoints" / "2" / "generator")
    with CheckpointStore(Workdir(tmp_path), 3, "l1") as store:
        assert store.restore_newest(template, "facades").state.step == 1
        store.save(Checkpoint(state.replace(step=np.int32(2)), TOTALS, "facades"))
        with pytest.raises(UsageError, match="step 1 was not saved"):
            store.save(Checkpoint(state.replace(step=np.int32(1)), TOTALS, "facades"))
    assert restore(tmp_path, template).step == 2


def test_if_a_file_is_missing_the_previous_checkpoint_is_restored(tmp_path, state, template):
    save(tmp_path, state, 1, 2)
    for path in (tmp_path / "checkpoints" / "2" / "generator").rglob("*"):
        if path.is_file():
            path.unlink()
    assert restore(tmp_path, template).step == 1


def test_a_run_stops_if_no_checkpoint_can_be_restored(tmp_path, state, template):
    save(tmp_path, state, 1)
    flip_a_byte(tmp_path / "checkpoints" / "1" / "generator")
    for _ in range(2):  # The first refusal must not move anything.
        with pytest.raises(
            UsageError, match="1: generator/.* does not match its saved hash.*from step 0"
        ):
            restore(tmp_path, template)
    assert (tmp_path / "checkpoints" / "1" / "generator").is_dir()


def test_a_run_on_other_data_is_refused_and_no_checkpoint_is_moved(tmp_path, state, template):
    save(tmp_path, state, 1)
    with pytest.raises(UsageError, match="trained on other pairs"):
        restore(tmp_path, template, data="shoes")
    assert restore(tmp_path, template).step == 1


def test_a_network_with_other_parameters_is_refused_and_no_checkpoint_is_moved(
    tmp_path, state, template
):
    save(tmp_path, state, 1)
    smaller = template.replace(generator=template.discriminator)
    with pytest.raises(UsageError, match="other parameters"):
        restore(tmp_path, smaller)
    assert restore(tmp_path, template).step == 1


def test_an_old_checkpoint_without_a_step_is_refused_and_not_moved(tmp_path, state, template):
    """The first version of this project saved no step in the origin of a checkpoint."""
    save(tmp_path, state, 5, scores={5: {"l1": 1.0}})
    path = tmp_path / "checkpoints/5/origin/metadata"
    origin = json.loads(path.read_text())
    del origin["sha256"], origin["step"]
    path.write_text(json.dumps(add_hash(origin)))
    assert "checkpoints/5: was saved by an earlier version" in refusal(restore, tmp_path, template)
    assert (tmp_path / "checkpoints/5/metrics/metrics").exists()
    assert not (tmp_path / "rejected").exists()


def test_values_that_are_not_finite_are_not_saved(tmp_path, state, template):
    save(tmp_path, state, 1)
    state = deepcopy(state)
    state.generator.params["up1"]["kernel"][0, 0, 0, 0] = np.nan
    with pytest.raises(UsageError, match="step 2: generator/up1/kernel has values that"):
        save(tmp_path, state, 2)
    assert restore(tmp_path, template).step == 1


def steps(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


def test_the_best_checkpoint_is_kept_in_addition_to_the_newest(tmp_path, state):
    """Step 2 has the least L1, step 1 the highest SSIM; steps 5 and 6 were not evaluated."""
    l1, ssim = [0.3, 0.1, 0.2, 0.4], [0.9, 0.5, 0.6, 0.7]
    scores = {
        step: {"l1": a, "ssim": b} for step, (a, b) in enumerate(zip(l1, ssim, strict=True), 1)
    }
    for best, expected in (("l1", [2, 5, 6]), ("ssim", [1, 5, 6])):
        save(tmp_path / best, state, *range(1, 7), keep=2, best=best, scores=scores)
        assert steps(tmp_path / best) == expected


def test_a_resumed_run_keeps_the_best_checkpoint(tmp_path, state):
    scores = {1: {"l1": 0.1}, 2: {"l1": 0.2}, 4: {"l1": 0.3}}
    for step in (1, 2, 3, 4, 5):
        save(tmp_path, state, step, keep=1, scores=scores)
    assert steps(tmp_path) == [1, 5]


def test_a_checkpoint_without_a_score_is_not_the_best(tmp_path, state):
    scores = {1: {"l1": 0.1}, 2: {"l1": 0.1, "class_iou": 0.0}}
    save(tmp_path, state, 1, 2, 3, 4, keep=1, best="class_iou", scores=scores)
    assert steps(tmp_path) == [2, 4]


def read(workdir, config, step, metric="l1"):
    config = replace(config, train=replace(config.train, best_metric=metric))
    return checkpoint_reader.read_network(Workdir(workdir), config, step)


def test_a_generator_is_read_without_the_other_items_of_its_checkpoint(tmp_path, state, small):
    save(tmp_path, state, 1, 2, 3, scores={1: {"l1": 0.2}, 2: {"l1": 0.1}})
    for step_or_name, expected in ((2, 2), ("newest", 3), ("best", 2)):
        step, params, data = read(tmp_path, small, step_or_name)
        assert (step, data) == (expected, "facades")
        for a, b in zip(
            jax.tree.leaves(params), jax.tree.leaves(state.generator.params), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_reading_a_run_does_not_touch_its_unfinished_checkpoint(tmp_path, state, small):
    save(tmp_path, state, 1)
    unfinished = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp-3"
    unfinished.mkdir()
    assert read(tmp_path, small, "newest")[0] == 1
    assert unfinished.exists()


def test_the_error_for_a_generator_that_cannot_be_read_says_why(tmp_path, state, small):
    assert "no checkpoints" in refusal(read, tmp_path, small, "newest")
    save(tmp_path, state, 1, 2)
    assert "give one of 1, 2" in refusal(read, tmp_path, small, 3)
    assert "train.evaluate_every" in refusal(read, tmp_path, small, "best")
    flip_a_byte(tmp_path / "checkpoints" / "2" / "generator")
    assert "2: cannot be restored" in refusal(read, tmp_path, small, "newest")
    deeper = replace(small, model=replace(small.model, depth=3))
    assert "other parameters" in refusal(read, tmp_path, deeper, 1)


@pytest.mark.parametrize(
    "content", [b'{"l1', b"\xff", b"3", b"[0.1]", b'{"l1": "0"}', b'{"l1": 0.2}']
)
def test_damaged_metrics_are_moved_aside_and_their_checkpoint_is_restored(
    tmp_path, state, template, small, capsys, content
):
    save(tmp_path, state, 1, scores={1: {"l1": 0.1}})
    (tmp_path / "checkpoints" / "1" / "metrics" / "metrics").write_bytes(content)
    assert "1/metrics/metrics: is damaged" in refusal(read, tmp_path, small, "best")
    assert restore(tmp_path, template).step == 1
    assert "metrics: is damaged and moved to" in capsys.readouterr().err
    assert (tmp_path / "rejected" / "1-metrics-0" / "metrics").read_bytes() == content


@pytest.mark.parametrize("item", ["generator", "discriminator", "optimizer", "origin"])
def test_an_item_of_another_step_rejects_the_checkpoint(tmp_path, state, template, item, capsys):
    save(tmp_path, state, 1)
    save(tmp_path, state_of_step_two(state), 2)
    first, second = (tmp_path / "checkpoints" / step / item for step in ("1", "2"))
    shutil.rmtree(second)
    shutil.copytree(first, second)
    assert restore(tmp_path, template).step == 1
    assert f"checkpoint 2 is rejected ({item} was saved at step 1)" in capsys.readouterr().err


def state_of_step_two(state):
    return jax.tree.map(lambda leaf: leaf + leaf.dtype.type(1), state)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"step": 2}', b'{"step": 2, "files": []}'],
)
def test_a_damaged_file_of_hashes_rejects_only_its_checkpoint(
    tmp_path, state, template, small, capsys, content
):
    save(tmp_path, state, 1, 2)
    (tmp_path / "checkpoints/2/generator/sha256.json").write_bytes(content)
    assert not checkpoint_reader.is_undamaged(tmp_path / "checkpoints/2")
    assert "2: cannot be restored (generator/sha256.json is" in refusal(read, tmp_path, small, 2)
    assert restore(tmp_path, template).step == 1
    expected = "checkpoint 2 is rejected (generator/sha256.json is damaged)"
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b'{"item', b"{}", b"\xff"])
def test_damaged_metadata_of_orbax_rejects_no_checkpoint(tmp_path, state, template, small, content):
    save(tmp_path, state, 1)
    (tmp_path / "checkpoints/1/_CHECKPOINT_METADATA").write_bytes(content)
    assert restore(tmp_path, template).step == 1
    assert read(tmp_path, small, "newest")[0] == 1
    save(tmp_path, state, 2)
    assert steps(tmp_path) == [1, 2]


def fail_to_restore(monkeypatch, error, before=lambda: None):
    """Makes Orbax raise an error while it restores."""

    def raise_error(*_):
        before()
        raise error

    monkeypatch.setattr(ocp.StandardCheckpointer, "restore", raise_error)


@pytest.mark.parametrize("error", [TypeError("2 arguments"), ValueError("shapes differ")])
def test_a_bug_keeps_its_traceback_and_rejects_no_checkpoint(
    tmp_path, state, template, small, monkeypatch, error
):
    save(tmp_path, state, 1, 2)
    fail_to_restore(monkeypatch, error)
    for call in (lambda: restore(tmp_path, template), lambda: read(tmp_path, small, 2)):
        with pytest.raises(type(error)) as caught:
            call()
        assert caught.value is error
    assert steps(tmp_path) == [1, 2]


def test_a_checkpoint_that_vanishes_while_it_is_read_is_a_usage_error(
    tmp_path, state, small, monkeypatch
):
    """A run that trains at the same time removes its older checkpoints."""
    save(tmp_path, state, 1, 2)
    first = tmp_path / "checkpoints" / "1"
    fail_to_restore(monkeypatch, KeyError("tree_metadata"), lambda: shutil.rmtree(first))
    message = refusal(read, tmp_path, small, 1)
    assert re.search("1: cannot be restored .*/1/.*: No such file or directory", message)


@pytest.mark.parametrize("scores", [{}, {2: {"l1": 0.1}}])
def test_a_checkpoint_without_read_permission_is_not_rejected(
    tmp_path, state, template, monkeypatch, scores
):
    save(tmp_path, state, 1, 2, scores=scores)

    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied", "sha256.json")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(PermissionError):
        restore(tmp_path, template)
    assert steps(tmp_path) == [1, 2]
    assert not (tmp_path / "rejected").exists()


def test_a_bug_is_not_reported_as_a_failed_save(tmp_path, state, monkeypatch):
    """Orbax raises the error of its thread. More disk space would not help against a bug."""

    def fail(*_):
        raise TypeError("2 arguments")

    monkeypatch.setattr(ChecksumHandler, "finalize", fail)
    with pytest.raises(TypeError, match="2 arguments"):
        save(tmp_path, state, 1)


def test_a_failed_computation_is_not_reported_as_a_failed_save(tmp_path, state):
    """The values of a step are computed while they are copied to the host."""
    kernel = jax.numpy.zeros(3)
    kernel.delete()
    params = state.generator.params | {"up1": {"kernel": kernel}}
    broken = state.replace(generator=state.generator.replace(params=params))
    with pytest.raises(RuntimeError, match="deleted"):
        save(tmp_path, broken, 1)


def test_a_checkpoint_in_the_folder_of_another_step_is_rejected(tmp_path, state, template, capsys):
    save(tmp_path, state, 1, 2)
    (tmp_path / "checkpoints" / "2").rename(tmp_path / "checkpoints" / "7")
    assert restore(tmp_path, template).step == 1
    assert "checkpoint 7 is rejected (origin was saved at step 2)" in capsys.readouterr().err


def test_a_rejected_checkpoint_gets_a_free_name(tmp_path, state, template):
    save(tmp_path, state, 1, 2)
    flip_a_byte(tmp_path / "checkpoints" / "2")
    (tmp_path / "rejected" / "2-1").mkdir(parents=True)
    (tmp_path / "rejected" / "2-metrics-0").mkdir()
    restore(tmp_path, template)
    assert {p.name for p in (tmp_path / "rejected").iterdir()} == {"2-0", "2-1", "2-metrics-0"}


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"sha256": 1}', b"\xff", b"[" * 100_000])
def test_a_damaged_origin_rejects_only_its_checkpoint(tmp_path, state, template, capsys, content):
    save(tmp_path, state, 1, 2, scores={2: {"l1": 0.1}})
    (tmp_path / "checkpoints" / "2" / "origin" / "metadata").write_bytes(content)
    assert restore(tmp_path, template).step == 1
    assert (
        "checkpoint 2 is rejected (origin does not match its saved hash)" in capsys.readouterr().err
    )


def test_an_infinite_psnr_is_the_best_score(tmp_path, state, small):
    scores = {1: {"psnr": 20.0}, 2: {"psnr": float("inf")}, 3: {"psnr": 30.0}}
    save(tmp_path, state, 1, 2, 3, 4, keep=1, best="psnr", scores=scores)
    assert steps(tmp_path) == [2, 4]
    assert read(tmp_path, small, "best", "psnr")[0] == 2


def test_a_request_for_the_best_step_by_an_unmeasured_metric_is_refused(tmp_path, state, small):
    save(tmp_path, state, 1, 2, scores={1: {"l1": 0.1}, 2: {"l1": 0.2}})
    assert "--config.train.best_metric=l1" in refusal(read, tmp_path, small, "best", "class_iou")


def test_a_folder_of_checkpoints_that_cannot_be_read_is_not_called_empty(small, tmp_path):
    """The error names the folder, so that the user can fix the cause."""
    assert Workdir(tmp_path).checkpoint_steps() == []
    (tmp_path / "checkpoints").touch()
    with pytest.raises(NotADirectoryError) as caught:
        checkpoint_reader.read_network(Workdir(tmp_path), small, "newest")
    assert caught.value.filename == f"{tmp_path}/checkpoints"
