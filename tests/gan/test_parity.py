"""Our numbers against PyTorch's: same weights, same images, no dropout."""

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[parity]'")

from parity import MEASURES, config_of, parity

from pix2pix_jax.config import PRESETS
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.models.topology import DISCRIMINATORS

AT_MOST = {"generator": 1e-4, "discriminator": 1e-4, "losses": 1e-3, "gradients": 1e-3}


def agree(config):
    """In float64 the same, in float32 within bounds.

    After some steps these are widened to what PyTorch's float32 is from its own float64.
    """
    ours, torchs, double = parity(config)
    assert set(ours) == set(double) == set(MEASURES)
    assert max(double.values()) < 1e-11, double
    for name, bound in AT_MOST.items():
        assert ours[name] < bound, (name, ours[name])
    assert ours["5 steps"] < max(1e-3, 3 * torchs["5 steps"])


@pytest.mark.slow
@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "paper"])
def test_presets(preset):
    agree(config_of(preset))


def test_the_paper():
    agree(config_of("paper", "pixel"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "discriminator",
    # The rest are those of the presets.
    [name for name in DISCRIMINATORS if name not in ("pixel", "patch70", "tutorial")],
)
def test_every_other_discriminator(discriminator):
    """With a shallow generator, since deep ones are those of the presets."""
    config = config_of("paper", discriminator)
    agree(resolve(replace(config, model=replace(config.model, depth=2))))
