"""How far our networks, losses, gradients and updates are from PyTorch's, as relative errors.

python tests/parity.py          a table, of the paper's networks at 256x256
python tests/parity.py 8 128    as the tests have it: 8 features, 128x128
"""

import sys
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from helpers import torch_reference as reference
from helpers.steps import batch_of, keep_gradients

from pix2pix_jax.config import PRESETS, Config, Data, Model, preset
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.gan.method import make_method
from pix2pix_jax.gan.optimizer import make_optimizer
from pix2pix_jax.gan.random import step_key
from pix2pix_jax.gan.state import NetworkState, TrainState, create_state
from pix2pix_jax.gan.step import train_step
from pix2pix_jax.models.topology import DISCRIMINATORS

STEPS, IMAGES = 5, 2
LOSSES = "loss/discriminator", "loss/generator_gan", "loss/generator_l1"


def config_of(name, discriminator=None, features=8, side=128):
    """Small networks of a preset without noise."""
    data = Data(image_size=(side, side), batch_size=IMAGES)
    model = Model(features=features, discriminator_features=features, dropout=0)
    config = preset(name, Config(data=data, model=model))
    # At a decaying rate five steps would be nothing; where it decays is tested by itself.
    optimizer = replace(config.optimizer, schedule="constant")
    if discriminator:
        config = replace(config, model=replace(config.model, discriminator=discriminator))
    return resolve(replace(config, optimizer=optimizer))


def worst(found, expected):
    """The largest relative error of a leaf, by its Euclidean norm."""
    pairs = zip(leaves(found), leaves(expected), strict=True)
    return max(float(np.linalg.norm(x - y) / np.linalg.norm(y)) for x, y in pairs)


def whole(found, expected):
    """The relative error of all leaves as one vector."""
    found, expected = (np.concatenate(list(map(np.ravel, leaves(t)))) for t in (found, expected))
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def leaves(tree):
    """All of them in double precision, but biases that a norm takes away again.

    Their gradient is rounding, and so is all that Adam makes of it.
    """
    tree = jax.device_get(tree)
    if isinstance(tree, tuple):  # networks
        tree = [
            {
                layer: {
                    n: v for n, v in leaves.items() if f"{layer}_norm" not in net or n != "bias"
                }
                for layer, leaves in net.items()
            }
            for net in tree
        ]
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]


# Adam begins with the signs of gradients, so that single leaves of what it has made are noise.
MEASURES = {
    "generator": worst,
    "discriminator": worst,
    "losses": worst,
    "gradients": worst,
    "5 steps": whole,
}


def parity(config):
    """Relative errors of forward passes, losses, gradients, and parameters after a few steps.

    Of ours against PyTorch in float32; for what float32 can do, of PyTorch against itself in
    float64; and of ours against PyTorch in float64.
    """
    state = create_state(config)
    torch32, torch64 = (
        reference_results(config, state, dtype) for dtype in (torch.float32, torch.float64)
    )
    ours32 = results(make_method(config), config, state)
    with jax.enable_x64(True):
        ours64 = results(in_float64(make_method(config)), config, state)
    pairs = (ours32, torch32), (torch32, torch64), (ours64, torch64)
    return [
        {name: measure(found[name], expected[name]) for name, measure in MEASURES.items()}
        for found, expected in pairs
    ]


def in_float64(method):
    """The method with networks that compute in double precision, for which there is no config."""
    return replace(
        method,
        generator=method.generator.clone(dtype=jnp.float64),
        discriminator=method.discriminator.clone(dtype=jnp.float64),
    )


def results(method, config, state):
    """What our networks and steps give, in the precision that there is."""
    batch = batch_of(config, IMAGES)
    generator, discriminator = method.generator, method.discriminator
    state = fresh(state, generator.dtype, make_optimizer(config))
    found = {
        "generator": jax.jit(generator.apply)({"params": state.generator.params}, batch["input"]),
        "discriminator": jax.jit(discriminator.apply)(
            {"params": state.discriminator.params}, pair_of(batch)
        ),
        "gradients": gradients(method, config, state, batch),
    }
    step = jax.jit(partial(train_step, method))
    found["losses"] = []
    for count in range(STEPS):
        state, metrics = step(state, batch_of(config, IMAGES, count), step_key(config, count))
        found["losses"].append({name: metrics[name] for name in LOSSES})
    found["5 steps"] = state.generator.params, state.discriminator.params
    return found


def gradients(method, config, state, batch):
    """Of a step whose optimizers keep them."""
    method = replace(
        method,
        generator_optimizer=keep_gradients(),
        discriminator_optimizer=keep_gradients(),
    )
    step = jax.jit(partial(train_step, method))
    state = fresh(state, None, keep_gradients())
    after, _ = step(state, batch, step_key(config, 0))
    return after.generator.opt_state, after.discriminator.opt_state


def fresh(state, dtype, optimizer):
    """A state whose parameters no optimizer has seen yet."""
    halves = (
        jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), half.params)
        for half in (state.generator, state.discriminator)
    )
    halves = (NetworkState(params, optimizer.init(params)) for params in halves)
    return TrainState(state.step, *halves)


def reference_results(config, state, dtype):
    """The same by PyTorch."""
    params = state.generator.params, state.discriminator.params
    run, batch = reference.Run(config, *params, dtype), batch_of(config, IMAGES)
    networks = run.generator, run.discriminator
    seen = batch["input"], pair_of(batch)
    names = "generator", "discriminator"
    found = {
        name: network(reference.nchw(x).to(dtype)).detach().numpy().transpose(0, 2, 3, 1)
        for name, network, x in zip(names, networks, seen, strict=True)
    }
    found["gradients"] = run.gradients(batch)
    found["losses"] = [run.step(batch_of(config, IMAGES, count)) for count in range(STEPS)]
    found["5 steps"] = tuple(map(reference.from_torch, networks))
    return found


def pair_of(batch):
    return np.concatenate([batch["input"], batch["target"]], -1)


def main(features=64, side=256):
    print("relative errors in float32: ours against PyTorch / PyTorch against itself in float64")
    print("and, in brackets, ours against PyTorch in float64")
    print(f"{'preset':15} {'discriminator':13} " + " ".join(f"{c:>27}" for c in MEASURES))
    for name in PRESETS:
        own = config_of(name).model.discriminator
        for discriminator in DISCRIMINATORS if name == "paper" else [own]:
            ours, torchs, double = parity(config_of(name, discriminator, int(features), int(side)))
            cells = " ".join(
                f"{ours[c]:8.1e} /{torchs[c]:8.1e} ({double[c]:.1e})" for c in MEASURES
            )
            print(f"{name:15} {discriminator:13} {cells}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
