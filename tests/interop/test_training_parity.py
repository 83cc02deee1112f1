"""Networks of the PyTorch code, imported, trained for six steps, and exported, as PyTorch does."""

from functools import partial

import jax
import numpy as np
import pytest
from helpers.steps import batch_of

pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[parity]'")

import torch
from helpers.torch_blocks import Generator, PatchDiscriminator, PixelDiscriminator
from helpers.torch_reference import nchw
from torch.nn import functional as F

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.reader import IMPORTED, read_items
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.config.files import read_config
from pix2pix_jax.gan.method import make_method
from pix2pix_jax.gan.random import step_key
from pix2pix_jax.gan.state import NetworkState, TrainState
from pix2pix_jax.gan.step import train_step
from pix2pix_jax.interop.export import ExportOptions, export
from pix2pix_jax.interop.import_weights import ImportOptions, import_weights
from pix2pix_jax.runs.workdir import Workdir

STEPS, SIDE = 6, 64
CASES = {
    "norm none": ("none", lambda: PatchDiscriminator(features=4, layers=2, norm="none")),
    "norm instance": ("instance", lambda: PatchDiscriminator(features=4, norm="instance")),
    "pixel": ("batch", lambda: PixelDiscriminator(features=8)),
    "pixel, norm none": ("none", lambda: PixelDiscriminator(features=8, norm="none")),
}


def small_init(network):
    """The initial weights of the PyTorch code: kernels from N(0, 0.02), norms around 1."""
    torch.manual_seed(0)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 4:
            torch.nn.init.normal_(parameter, 0, 0.02)
        elif name.endswith("weight"):
            torch.nn.init.normal_(parameter, 1, 0.02)
        else:
            torch.nn.init.zeros_(parameter)
    return network


def train_in_pytorch(generator, discriminator, batches):
    """The losses of every step, with the updates of the PyTorch code."""
    g_adam, d_adam = (
        torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
        for network in (generator, discriminator)
    )
    losses = []
    for batch in batches:
        x, y = nchw(batch["input"]), nchw(batch["target"])
        fake = generator(x)

        def cross_entropy(images, value, x=x):
            logits = discriminator(torch.cat([x, images], 1))
            return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, value))

        d_loss = 0.5 * (cross_entropy(fake.detach(), 0.0) + cross_entropy(y, 1.0))
        d_adam.zero_grad()
        d_loss.backward()
        d_adam.step()
        gan, l1 = cross_entropy(fake, 1.0), F.l1_loss(fake, y)
        g_adam.zero_grad()
        (gan + 100 * l1).backward()
        g_adam.step()
        losses.append([d_loss.item(), gan.item(), l1.item()])
    return np.array(losses)


def train_here(config, workdir, batches):
    """The losses of every step and the last state, from the imported checkpoint."""
    saved = read_items(workdir, config, 0, ("generator", "discriminator", "optimizer")).items
    state = TrainState(
        np.int32(0),
        *(
            NetworkState(saved[name], saved["optimizer"][name])
            for name in ("generator", "discriminator")
        ),
    )
    step, losses = jax.jit(partial(train_step, make_method(config))), []
    names = "loss/discriminator", "loss/generator_gan", "loss/generator_l1"
    for count, batch in enumerate(batches):
        state, metrics = step(state, batch, step_key(config, count))
        losses.append([float(metrics[name]) for name in names])
    return np.array(losses), state


@pytest.mark.parametrize("name", CASES)
def test_imported_networks_train_as_in_pytorch_and_go_back(tmp_path, name):
    norm, make_discriminator = CASES[name]
    generator = small_init(Generator(depth=6, features=4, norm=norm))
    discriminator = small_init(make_discriminator())
    for network, letter in ((generator, "G"), (discriminator, "D")):
        torch.save(network.state_dict(), tmp_path / f"{letter}.pth")
    workdir = Workdir(tmp_path / "run")
    fields = {"model.dropout": "0"}
    import_weights(ImportOptions(tmp_path / "G.pth", tmp_path / "D.pth"), workdir, fields)
    config = read_config(workdir.config_file)
    batches = [batch_of(config, 1, seed=count) for count in range(STEPS)]
    found, state = train_here(config, workdir, batches)
    expected = train_in_pytorch(generator, discriminator, batches)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    with CheckpointStore(workdir, keep=2, best_metric="l1") as store:
        store.save(Checkpoint(state, Totals(), IMPORTED))
    options = ExportOptions(tmp_path / "G2.pth", step=STEPS, discriminator=tmp_path / "D2.pth")
    export(config, workdir, options)
    for network, letter in ((generator, "G"), (discriminator, "D")):
        trained = {key: value.clone() for key, value in network.state_dict().items()}
        back = torch.load(tmp_path / f"{letter}2.pth", weights_only=True)
        network.load_state_dict(back, strict=True)
        for key, value in trained.items():
            # An instance norm removes the bias before it, whose gradient is a rounding error.
            if "running" in key or "tracked" in key or (norm == "instance" and "bias" in key):
                continue
            # A step of Adam has the size 2e-4, whatever the size of the gradient.
            assert (back[key] - value).abs().mean() < 2e-5, key
