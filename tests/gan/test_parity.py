"""Our results equal those of PyTorch with the same weights and images, without dropout."""

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[parity]'")

from parity import MEASURES, config_of, parity

from pix2pix_jax.config import PRESETS
from pix2pix_jax.config.resolve import resolve

MAX_ERRORS = {  # the largest relative errors in float32
    "generator": 1e-4,
    "discriminator": 1e-4,
    "losses": 1e-3,
    "gradients": 1e-3,
    "5 steps": 1e-3,
}


def assert_parity(config):
    """Our results equal those of PyTorch in float64, and lie within bounds in float32.

    A bound in float32 is a value of MAX_ERRORS, or three times the error of PyTorch itself if that
    is more. PyTorch's error can be large, because rounding decides whether a gradient passes a ReLU
    where its input is almost zero.
    """
    ours, torchs, double = parity(config)
    assert set(ours) == set(double) == set(MEASURES)
    assert max(double.values()) < 1e-11, double
    for name, bound in MAX_ERRORS.items():
        assert ours[name] < max(bound, 3 * torchs[name]), (name, ours[name])


@pytest.mark.slow
@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "paper"])
def test_every_preset_trains_as_in_pytorch(preset):
    assert_parity(config_of(preset))


def test_the_preset_of_the_paper_trains_as_in_pytorch():
    assert_parity(config_of("paper", "pixel"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("discriminator", "side"),
    # The smallest and the largest PatchGAN. Tests above have the discriminators pixel, patch70 and
    # tutorial. tests/interop compares the logits of all PatchGANs with the logits of PyTorch.
    [("patch16", 32), ("image286", 128)],
)
def test_other_discriminators_train_as_in_pytorch(discriminator, side):
    """The generator is shallow, because the presets are tested with deep generators."""
    config = config_of("paper", discriminator, side=side)
    assert_parity(resolve(replace(config, model=replace(config.model, depth=2))))
