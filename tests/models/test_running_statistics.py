"""Networks normalize by running statistics as PyTorch does in eval mode, and measure them."""

import jax
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[parity]'")

import torch
from helpers.torch_blocks import Generator, PatchDiscriminator, randomize

from pix2pix_jax.config import Model
from pix2pix_jax.interop.pytorch.names import discriminator_names, generator_names
from pix2pix_jax.interop.pytorch.tensors import from_torch, statistics_from_torch
from pix2pix_jax.models.layers import network_variables
from pix2pix_jax.models.patchgan import Discriminator
from pix2pix_jax.models.running_statistics import measure_statistics, moments_of
from pix2pix_jax.models.topology import DISCRIMINATORS
from pix2pix_jax.models.unet import UNet

GENERATOR = UNet(3, depth=5, features=4, dropout_blocks="middle")
DISCRIMINATOR = Discriminator(DISCRIMINATORS["patch34"], features=4)
CASES = {
    "generator": (lambda: Generator(depth=5, features=4), GENERATOR, generator_names(5), 3),
    "discriminator": (
        lambda: PatchDiscriminator(features=4, layers=2),
        DISCRIMINATOR,
        discriminator_names("patch34"),
        6,
    ),
}


def convert(case):
    """A network of PyTorch, and our module with its parameters and running statistics."""
    make, module, names, channels = CASES[case]
    network = randomize(make())
    tensors = {name: value.numpy() for name, value in network.state_dict().items()}
    x = np.zeros((1, 64, 64, channels), np.float32)
    template = jax.eval_shape(module.init, jax.random.key(0), x)["params"]
    params = from_torch(tensors, names, template, Model(bias="pytorch"))
    return network, module, params, statistics_from_torch(tensors, names, template)


def images(b, channels):
    x = np.random.default_rng(0).uniform(-1, 1, (b, 64, 64, channels)).astype(np.float32)
    return x, torch.tensor(x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("case", CASES)
def test_a_network_with_running_statistics_computes_what_pytorchs_eval_mode_does(case):
    network, module, params, statistics = convert(case)
    x, y = images(2, CASES[case][3])
    with torch.no_grad():
        expected = network.eval()(y).numpy().transpose(0, 2, 3, 1)
    variables = network_variables(params, moments_of(statistics))
    found = jax.jit(module.apply)(variables, x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    plain = jax.jit(module.apply)({"params": params}, x)
    assert np.abs(plain - expected).mean() > 0.01


@pytest.mark.parametrize("case", CASES)
def test_measured_statistics_are_those_that_pytorch_averages(case):
    """With momentum 1, the running averages of PyTorch are the statistics of the last batch."""
    network, module, params, _ = convert(case)
    x, y = images(2, CASES[case][3])
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        expected_output = network.train()(y).numpy().transpose(0, 2, 3, 1)
    output, found = jax.jit(lambda p, x: measure_statistics(module, p, x))(params, x)
    np.testing.assert_allclose(output, expected_output, rtol=1e-4, atol=1e-5)
    tensors = {name: value.numpy() for name, value in network.state_dict().items()}
    expected = statistics_from_torch(tensors, CASES[case][2], params)
    assert found.keys() == expected.keys()
    for norm, values in expected.items():
        np.testing.assert_allclose(found[norm]["mean"], values["mean"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[norm]["variance"], values["variance"], rtol=1e-4)
