"""A config is checked before training writes anything."""

from dataclasses import replace

import pytest
from helpers.refusals import refusal

from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.training.preparation import prepare_config


@pytest.mark.parametrize("field", ["input_channels", "target_channels"])
def test_pairs_of_images_have_1_3_or_4_channels(small, tmp_path, field):
    """Arrays may have any number of channels, but image files may not."""
    config = replace(small, data=replace(small.data, **{field: 2}))
    error = refusal(prepare_config, config, Workdir(tmp_path))
    assert error == f"data.{field}: images have 1, 3 or 4 channels, not 2; give 1, 3 or 4"
