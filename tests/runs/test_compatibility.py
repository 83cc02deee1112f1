"""What can end a run is told in one line."""

from dataclasses import replace

import pytest
from helpers.refusals import refusal

from pix2pix_jax.config.files import write_config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.compatibility import check_devices, check_workdir, resolve_norm_images
from pix2pix_jax.runs.workdir import Workdir


def test_a_batch_that_devices_cannot_share_is_refused():
    check_devices(8)
    with pytest.raises(UsageError, match="data.batch_size: 6 cannot be shared by 4 devices"):
        check_devices(6)


def test_a_workdir_is_a_folder_outside_of_the_pairs(tmp_path, small):
    """Or the samples of a run would be pairs of the next one."""
    (tmp_path / "file").touch()
    assert f"--workdir: {tmp_path}/file is a file" in refusal(
        check_workdir, Workdir(tmp_path / "file"), small
    )
    pairs = replace(small, data=replace(small.data, source=str(tmp_path / "pairs")))
    for place in ("pairs", "pairs/run", "pairs/../pairs/run"):
        assert "lies in data.source" in refusal(check_workdir, Workdir(tmp_path / place), pairs)
    for place in ("run", "pairs_run"):
        check_workdir(Workdir(tmp_path / place), pairs)


def test_a_workdir_belongs_to_one_config(tmp_path, small):
    check_workdir(Workdir(tmp_path / "new"), small)
    write_config(small, tmp_path / "config.json")
    check_workdir(Workdir(tmp_path), replace(small, train=replace(small.train, steps=99, keep=1)))
    other = replace(small, seed=1, data=replace(small.data, flip=False))
    with pytest.raises(UsageError, match="another seed, data.flip;"):
        check_workdir(Workdir(tmp_path), other)


def test_checkpoints_without_a_config_are_refused(tmp_path, small):
    (tmp_path / "checkpoints").mkdir()
    check_workdir(Workdir(tmp_path), small)
    (tmp_path / "checkpoints" / "5").mkdir()
    assert refusal(check_workdir, Workdir(tmp_path), small).startswith(
        f"{tmp_path}/config.json: is missing"
    )


def test_images_that_share_a_norm_stay_as_many(tmp_path, small):
    """Four devices here: with 8 images two on each, with 4 one."""

    def of(batch_size, images=None):
        data = replace(small.data, batch_size=batch_size)
        return replace(small, data=data, model=replace(small.model, norm_images=images))

    assert resolve_norm_images(of(8), Workdir(tmp_path)) == 2
    assert resolve_norm_images(of(8, 1), Workdir(tmp_path)) == 1
    write_config(of(8, 1), tmp_path / "config.json")
    assert resolve_norm_images(of(8), Workdir(tmp_path)) == 1
    assert "another model.norm_images, 1" in refusal(
        resolve_norm_images, of(8, 2), Workdir(tmp_path)
    )
    expected = "4 images share .* each of 4 devices would hold 2; use no more devices than 2"
    with pytest.raises(UsageError, match=expected):
        resolve_norm_images(of(8, 4), Workdir(tmp_path / "new"))
