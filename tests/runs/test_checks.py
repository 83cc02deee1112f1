"""A config, the devices and a workdir that do not fit together are refused in one line."""

from dataclasses import replace

import pytest
from helpers.refusals import refusal

from pix2pix_jax.config.files import write_config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.checks import check_devices, check_workdir, resolve_norm_images
from pix2pix_jax.runs.workdir import Workdir


def test_a_batch_that_is_not_divisible_by_the_devices_is_refused():
    """The batch of a run cannot change, but the number of devices can."""
    check_devices(8)
    devices = (
        "data.batch_size: 6 is not divisible by 4 devices; use 3 devices (set "
        "JAX_NUM_CPU_DEVICES=3)"
    )
    assert refusal(check_devices, 6, True) == devices
    batch = ", or give --config.data.batch_size a multiple of 4"
    assert refusal(check_devices, 6) == devices + batch
    assert "use 1 device (unset JAX_NUM_CPU_DEVICES)" in refusal(check_devices, 1)


def test_a_workdir_must_be_a_folder_outside_the_source_of_the_pairs(tmp_path, small):
    """Otherwise the sample images of one run would be training pairs of the next run."""
    (tmp_path / "file").touch()
    assert f"--workdir: {tmp_path}/file is a file" in refusal(
        check_workdir, Workdir(tmp_path / "file"), small
    )
    pairs = replace(small, data=replace(small.data, source=str(tmp_path / "pairs")))
    for place in ("pairs", "pairs/run", "pairs/../pairs/run"):
        assert "is inside data.source" in refusal(check_workdir, Workdir(tmp_path / place), pairs)
    for place in ("run", "pairs_run"):
        check_workdir(Workdir(tmp_path / place), pairs)


def test_a_workdir_belongs_to_one_config(tmp_path, small):
    check_workdir(Workdir(tmp_path / "new"), small)
    write_config(small, tmp_path / "config.json")
    check_workdir(Workdir(tmp_path), replace(small, train=replace(small.train, steps=99, keep=1)))
    other = replace(small, seed=1, data=replace(small.data, flip=False))
    with pytest.raises(UsageError, match="another seed, data.flip;"):
        check_workdir(Workdir(tmp_path), other)


def test_a_changed_number_of_steps_is_explained_wherever_it_is_listed(tmp_path, small):
    """train.dtype comes after train.steps in the list of changed fields."""
    config = replace(small, optimizer=replace(small.optimizer, schedule="linear_decay"))
    write_config(config, tmp_path / "config.json")
    for dtype in ("float32", "bfloat16"):
        other = replace(config, train=replace(config.train, steps=99, dtype=dtype))
        message = refusal(check_workdir, Workdir(tmp_path), other)
        assert "train.steps" in message
        assert ("train.dtype" in message) == (dtype == "bfloat16")
        assert "(the learning rate decays over train.steps)" in message


def test_checkpoints_without_a_config_are_refused(tmp_path, small):
    (tmp_path / "checkpoints").mkdir()
    check_workdir(Workdir(tmp_path), small)
    (tmp_path / "checkpoints" / "5").mkdir()
    assert refusal(check_workdir, Workdir(tmp_path), small).startswith(
        f"{tmp_path}/config.json: is missing"
    )


def test_a_resumed_run_keeps_its_value_of_norm_images(tmp_path, small):
    """The tests have four devices: a batch of 8 puts two images on each."""

    def config_of(batch_size, images=None):
        data = replace(small.data, batch_size=batch_size)
        return replace(small, data=data, model=replace(small.model, norm_images=images))

    assert resolve_norm_images(config_of(8), Workdir(tmp_path)) == 2
    assert resolve_norm_images(config_of(8, 1), Workdir(tmp_path)) == 1
    write_config(config_of(8, 1), tmp_path / "config.json")
    assert resolve_norm_images(config_of(8), Workdir(tmp_path)) == 1
    assert "another model.norm_images, 1" in refusal(
        resolve_norm_images, config_of(8, 2), Workdir(tmp_path)
    )
    message = refusal(resolve_norm_images, config_of(8, 4), Workdir(tmp_path / "new"))
    assert "4 images share the statistics" in message
    assert "each of 4 devices has 2 of a batch; use 2 devices (set JAX_NUM_CPU_DEVICES=2), or" in (
        message
    )
    # 12 images on 4 devices are 3 on each; on 3 devices, they are two groups of 2 on each.
    message = refusal(resolve_norm_images, config_of(12, 2), Workdir(tmp_path / "new"))
    assert "use 3 devices" in message
