"""The sample grid shows the translations of the first validation pairs."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.models.unet import translate_each
from pix2pix_jax.training.sample_grid import SampleGrid, draw_columns


def test_samples_are_translations_of_the_first_pairs_each_with_its_own_noise(small, monkeypatch):
    rng = np.random.default_rng(0)
    pairs = [
        {name: rng.uniform(-1, 1, (32, 32, 3)).astype(np.float32) for name in ("input", "target")}
        for _ in range(3)
    ]
    shown = {}
    monkeypatch.setattr(
        "pix2pix_jax.training.sample_grid.evaluation_example", lambda pair, data: pair
    )
    monkeypatch.setattr("pix2pix_jax.training.sample_grid.draw_columns", shown.update)
    params = create_state(small).generator.params
    samples = SampleGrid(small, pairs)
    translated, error = samples.translate(1, params)
    assert shown == {}
    samples.draw(translated)
    images, targets = (np.stack([pair[name] for pair in pairs]) for name in ("input", "target"))
    keys = jax.random.split(stream_key(small, "samples"), 3)
    translate = jax.jit(partial(translate_each, make_generator(small)))
    outputs = translate({"params": params}, images, keys)
    np.testing.assert_array_equal(shown["input"], images)
    np.testing.assert_allclose(shown["output"], outputs, atol=1e-6)
    np.testing.assert_array_equal(shown["target"], targets)
    np.testing.assert_allclose(error, np.abs(outputs - targets).mean(), rtol=1e-5)
    fewer = replace(small, train=replace(small.train, samples=2))
    samples = SampleGrid(fewer, pairs)
    samples.draw(samples.translate(1, params)[0])
    np.testing.assert_array_equal(shown["target"], targets[:2])
    with pytest.raises(UsageError, match="step 7: validation/l1 is nan"):
        samples.translate(7, jax.tree.map(lambda leaf: leaf * np.nan, params))


def test_a_sample_grid_has_every_pixel_in_its_place():
    rng = np.random.default_rng(0)
    columns = {
        "input": rng.uniform(-1, 1, (2, 8, 16, 1)),
        "output": rng.uniform(-1, 1, (2, 8, 16, 3)),
    }
    grid = np.asarray(draw_columns(columns))
    assert grid.shape == (18 + 2 * 12, 4 + 2 * 20, 3)
    shown = grid[18 + 12 : 18 + 12 + 8, 4 + 20 : 4 + 20 + 16]  # second row and column
    np.testing.assert_array_equal(shown, np.round((columns["output"][1] + 1) * 127.5))
    grey = grid[18:26, 4:20]
    np.testing.assert_array_equal(grey[..., 0], np.round((columns["input"][0, ..., 0] + 1) * 127.5))
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
