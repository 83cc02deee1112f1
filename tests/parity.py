"""Measures the errors of our networks, losses, gradients and updates relative to PyTorch's.

python tests/parity.py          prints a table, for the networks of the paper at 256x256
python tests/parity.py 8 128    for networks of 8 features at 128x128
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
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.gan.optimizer import make_optimizer
from pix2pix_jax.gan.random import step_key
from pix2pix_jax.gan.state import NetworkState, TrainState, create_state
from pix2pix_jax.gan.step import train_step
from pix2pix_jax.models.topology import DISCRIMINATORS

STEPS, IMAGES = 5, 2
LOSSES = "loss/discriminator", "loss/generator_gan", "loss/generator_l1"


def config_of(name, discriminator=None, features=8, side=32):
    """A config of a preset, with small networks and without dropout."""
    data = Data(image_size=(side, side), batch_size=IMAGES)
    model = Model(features=features, discriminator_features=features, dropout=0)
    config = preset(name, Config(data=data, model=model))
    # The PyTorch reference has a constant rate. tests/gan/test_optimizer.py tests the decay.
    optimizer = replace(config.optimizer, schedule="constant")
    if discriminator:
        config = replace(config, model=replace(config.model, discriminator=discriminator))
    return resolve(replace(config, optimizer=optimizer))


def largest_error(found, expected):
    """The largest relative error of one array of a tree, in the Euclidean norm."""
    pairs = zip(leaves(found), leaves(expected), strict=True)
    return max(float(np.linalg.norm(x - y) / np.linalg.norm(y)) for x, y in pairs)


def total_error(found, expected):
    """The relative error of all arrays of a tree as one vector, in the Euclidean norm."""
    found, expected = (np.concatenate(list(map(np.ravel, leaves(t)))) for t in (found, expected))
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def leaves(tree):
    """The arrays of a tree in double precision."""
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(jax.device_get(tree))]


def without_removed_biases(config, networks):
    """Parameters or gradients of both networks, without the biases of layers with a norm.

    The norm removes the bias again, so the gradient of the bias is only a rounding error.
    """
    modules = make_generator(config), make_discriminator(config)
    return tuple(
        {
            layer.name: {
                name: value
                for name, value in network[layer.name].items()
                if not (layer.has_norm and name == "bias")
            }
            for layer in module.layers
        }
        | {name: value for name, value in network.items() if name.endswith("_norm")}
        for module, network in zip(modules, networks, strict=True)
    )


# The function that measures the error of each kind of result. In its first steps, Adam uses little
# more than the signs of gradients. Rounding can then change a whole array, so after 5 steps only
# the total error is measured.
MEASURES = {
    "generator": largest_error,
    "discriminator": largest_error,
    "losses": largest_error,
    "gradients": largest_error,
    "5 steps": total_error,
}


def parity(config):
    """Measures relative errors of forward passes, losses, gradients and parameters, after STEPS.

    Returns:
      Three dictionaries with the keys of MEASURES: the errors of our results against PyTorch in
      float32; the errors of PyTorch in float32 against PyTorch in float64, which show how exact
      float32 can be; and the errors of our results against PyTorch in float64.
    """
    state = create_state(config)
    torch32, torch64 = (
        reference_results(config, state, dtype) for dtype in (torch.float32, torch.float64)
    )
    ours32 = results(make_method(config), config, state)
    with jax.enable_x64(True):
        ours64 = results(in_float64(make_method(config)), config, state)
    for each in (ours32, torch32, ours64, torch64):
        for name in ("gradients", "5 steps"):
            each[name] = without_removed_biases(config, each[name])
    pairs = (ours32, torch32), (torch32, torch64), (ours64, torch64)
    return [
        {name: measure(found[name], expected[name]) for name, measure in MEASURES.items()}
        for found, expected in pairs
    ]


def in_float64(method):
    """Makes the networks of a method compute in double precision, which no config allows."""
    return replace(
        method,
        generator=method.generator.clone(dtype=jnp.float64),
        discriminator=method.discriminator.clone(dtype=jnp.float64),
    )


def results(method, config, state):
    """The results of our networks and steps, by the keys of MEASURES."""
    batch = batch_of(config, IMAGES)
    generator, discriminator = method.generator, method.discriminator
    state = initial_state(state, generator.dtype, make_optimizer(config))
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
    """The gradients of both networks in one step."""
    method = replace(
        method,
        generator_optimizer=keep_gradients(),
        discriminator_optimizer=keep_gradients(),
    )
    step = jax.jit(partial(train_step, method))
    state = initial_state(state, None, keep_gradients())
    after, _ = step(state, batch, step_key(config, 0))
    return after.generator.opt_state, after.discriminator.opt_state


def initial_state(state, dtype, optimizer):
    """Changes the precision of the parameters of a state, and starts a new optimizer."""
    both_params = (
        jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), network.params)
        for network in (state.generator, state.discriminator)
    )
    networks = (NetworkState(params, optimizer.init(params)) for params in both_params)
    return TrainState(state.step, *networks)


def reference_results(config, state, dtype):
    """The results of PyTorch, by the keys of MEASURES."""
    params = state.generator.params, state.discriminator.params
    run, batch = reference.Run(config, *params, dtype), batch_of(config, IMAGES)
    networks = run.generator, run.discriminator
    inputs = batch["input"], pair_of(batch)
    names = "generator", "discriminator"
    found = {
        name: network(reference.nchw(x).to(dtype)).detach().numpy().transpose(0, 2, 3, 1)
        for name, network, x in zip(names, networks, inputs, strict=True)
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
