"""pix2pix in plain Flax, with nn.Conv and nn.ConvTranspose: for `benchmark --peers=flax`."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from pix2pix_jax.benchmark.worker import Trial, device_memory
from pix2pix_jax.config import Config
from pix2pix_jax.models.topology import DISCRIMINATORS


def weights(config: Config) -> dict:
    return {"kernel_init": nn.initializers.normal(0.02), "dtype": config.train.dtype}


def norm(config: Config) -> nn.Module:
    dtype, epsilon = config.train.dtype, config.model.norm_epsilon
    return nn.BatchNorm(use_running_average=False, epsilon=epsilon, dtype=dtype)


class UNet(nn.Module):
    """Section 6.1.1."""

    config: Config

    @nn.compact
    def __call__(self, x: Array) -> Array:
        config, model = self.config, self.config.model
        widths = [model.features * min(2**n, 8) for n in range(model.depth)]
        skips = []
        for n, width in enumerate(widths, 1):
            x = x if n == 1 else nn.leaky_relu(x, model.leaky_slope)
            x = nn.Conv(width, (4, 4), 2, ((1, 1), (1, 1)), use_bias=False, **weights(config))(x)
            x = norm(config)(x) if 1 < n < model.depth else x
            skips.append(nn.relu(x))
        x = skips.pop()
        for n, width in enumerate(reversed(widths[:-1]), 1):
            x = nn.ConvTranspose(width, (4, 4), (2, 2), use_bias=False, **weights(config))(x)
            x = norm(config)(x)
            if n <= 3:
                x = nn.Dropout(model.dropout, deterministic=False)(x)
            x = jnp.concatenate([skips.pop(), nn.relu(x)], -1)
        channels = config.data.target_channels
        x = nn.ConvTranspose(channels, (4, 4), (2, 2), **weights(config))(x)
        return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
    """Section 6.1.2."""

    config: Config

    @nn.compact
    def __call__(self, x: Array) -> Array:
        model = self.config.model
        table = DISCRIMINATORS[model.discriminator]
        for n, (width, kernel, stride, padding) in enumerate(table, 1):
            normed = n > 1 and width
            x = nn.Conv(
                width * model.discriminator_features or 1,
                (kernel, kernel),
                stride,
                (padding, padding),
                use_bias=not normed,
                **weights(self.config),
            )(x)
            x = norm(self.config)(x) if normed else x
            x = nn.leaky_relu(x, model.leaky_slope) if width else x
        return x.astype(jnp.float32)


def plain(config: Config) -> Trial:
    """One step after the other, jitted."""
    generator, discriminator = UNet(config), Discriminator(config)
    options, data = config.optimizer, config.data
    adam = optax.adam(options.learning_rate, options.b1, options.b2)
    keys = jax.random.split(jax.random.key(0), 3)
    shape = data.batch_size, *data.image_size, 3
    image, target = (jax.random.uniform(key, shape, minval=-1) for key in keys[:2])
    kept = ["batch_stats"]

    def judge(params: dict, output: Array) -> Array:
        seen = jnp.concatenate([image, output], -1)
        return discriminator.apply({"params": params}, seen, mutable=kept)[0]

    def cross_entropy(logits: Array, real: bool) -> Array:
        return optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, real)).mean()

    @jax.jit
    def step(g: dict, d: dict, g_state: tuple, d_state: tuple, key: Array) -> tuple:
        def generate(params: dict) -> Array:
            rngs = {"dropout": key}
            return generator.apply({"params": params}, image, mutable=kept, rngs=rngs)[0]

        def d_loss(params: dict) -> Array:
            both = cross_entropy(judge(params, target), True)
            both = both + cross_entropy(judge(params, fake), False)
            return config.loss.discriminator_weight * both

        def g_loss(fake: Array) -> Array:
            l1 = jnp.abs(fake - target).mean()
            return cross_entropy(judge(d, fake), True) + config.loss.l1_weight * l1

        fake, pull_back = jax.vjp(generate, g)
        updates, d_state = adam.update(jax.grad(d_loss)(d), d_state)
        d = optax.apply_updates(d, updates)
        updates, g_state = adam.update(pull_back(jax.grad(g_loss)(fake))[0], g_state)
        return optax.apply_updates(g, updates), d, g_state, d_state, jax.random.fold_in(key, 0)

    rngs = {"params": keys[2], "dropout": keys[2]}
    g = jax.jit(generator.init)(rngs, image)["params"]
    d = jax.jit(discriminator.init)(rngs, jnp.concatenate([image, target], -1))["params"]
    state = g, d, adam.init(g), adam.init(d), keys[2]

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            state = step(*state)
        jax.block_until_ready(state)

    def weights() -> tuple:
        return tuple(jax.tree.leaves(params) for params in state[:2])

    return Trial(run, 1, weights, device_memory, [jax.devices()[0].platform])
