"""pix2pix in plain Flax, with nn.Conv and nn.ConvTranspose, for `benchmark --peers=flax`."""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from pix2pix_jax.benchmark.worker import Arrays, Trial, device_memory
from pix2pix_jax.config import Config
from pix2pix_jax.config.schema import Loss
from pix2pix_jax.models.topology import DISCRIMINATORS


def conv_options(config: Config) -> dict:
    """The options that all convolutions share."""
    return {"kernel_init": nn.initializers.normal(0.02), "dtype": config.train.dtype}


def norm(config: Config) -> nn.Module:
    """Makes a batch norm that always uses the statistics of the batch (section 3.3)."""
    dtype, epsilon = config.train.dtype, config.model.norm_epsilon
    return nn.BatchNorm(use_running_average=False, epsilon=epsilon, dtype=dtype)


class UNet(nn.Module):
    """The generator (section 6.1.1)."""

    config: Config

    @nn.compact
    def __call__(self, x: Array) -> Array:
        config, model = self.config, self.config.model
        widths = [model.features * min(2**n, 8) for n in range(model.depth)]
        options, skips = conv_options(config), []
        for n, width in enumerate(widths, 1):
            x = x if n == 1 else nn.leaky_relu(x, model.leaky_slope)
            x = nn.Conv(width, (4, 4), 2, ((1, 1), (1, 1)), use_bias=False, **options)(x)
            x = norm(config)(x) if 1 < n < model.depth else x
            skips.append(nn.relu(x))
        x = skips.pop()
        for n, width in enumerate(reversed(widths[:-1]), 1):
            x = nn.ConvTranspose(width, (4, 4), (2, 2), use_bias=False, **options)(x)
            x = norm(config)(x)
            if n <= 3:
                x = nn.Dropout(model.dropout, deterministic=False)(x)
            x = jnp.concatenate([skips.pop(), nn.relu(x)], -1)
        channels = config.data.target_channels
        x = nn.ConvTranspose(channels, (4, 4), (2, 2), **options)(x)
        return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
    """The discriminator (section 6.1.2)."""

    config: Config

    @nn.compact
    def __call__(self, x: Array) -> Array:
        model = self.config.model
        table = DISCRIMINATORS[model.discriminator]
        for n, (width, kernel, stride, padding) in enumerate(table, 1):
            has_norm = n > 1 and width > 0
            x = nn.Conv(
                width * model.discriminator_features or 1,
                (kernel, kernel),
                stride,
                (padding, padding),
                use_bias=not has_norm,
                **conv_options(self.config),
            )(x)
            x = norm(self.config)(x) if has_norm else x
            x = nn.leaky_relu(x, model.leaky_slope) if width else x
        return x.astype(jnp.float32)


@dataclass(frozen=True)
class Method:
    """The parts of a training that never change: networks, optimizer, loss weights."""

    generator: UNet
    discriminator: Discriminator
    adam: optax.GradientTransformation
    loss: Loss


class State(struct.PyTreeNode):
    """The values that every step changes: parameters, optimizer states and the dropout key."""

    generator: dict
    discriminator: dict
    generator_optimizer: tuple
    discriminator_optimizer: tuple
    key: Array


@dataclass(frozen=True)
class Batch:
    """Inputs and targets, each [b, h, w, c] in [-1, 1]."""

    image: Array
    target: Array


def generate_images(method: Method, batch: Batch, key: Array, params: dict) -> Array:
    """Generates images [b, h, w, c] in [-1, 1]; `params` are the parameters of the generator."""
    variables, rngs = {"params": params}, {"dropout": key}
    return method.generator.apply(variables, batch.image, mutable=["batch_stats"], rngs=rngs)[0]


def score_patches(method: Method, params: dict, batch: Batch, images: Array) -> Array:
    """Computes the discriminator's logits [b, h', w', 1] for images [b, h, w, c]."""
    pairs = jnp.concatenate([batch.image, images], -1)
    return method.discriminator.apply({"params": params}, pairs, mutable=["batch_stats"])[0]


def cross_entropy(logits: Array, real: bool) -> Array:
    return optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, real)).mean()


def discriminator_loss(params: dict, method: Method, batch: Batch, fake: Array) -> Array:
    real_loss = cross_entropy(score_patches(method, params, batch, batch.target), True)
    fake_loss = cross_entropy(score_patches(method, params, batch, fake), False)
    return method.loss.discriminator_weight * (real_loss + fake_loss)


def generator_loss(fake: Array, method: Method, discriminator: dict, batch: Batch) -> Array:
    l1 = jnp.abs(fake - batch.target).mean()
    gan = cross_entropy(score_patches(method, discriminator, batch, fake), True)
    return gan + method.loss.l1_weight * l1


def train_step(method: Method, batch: Batch, state: State) -> State:
    """Updates the discriminator, and then the generator against the new discriminator."""
    generate = partial(generate_images, method, batch, state.key)
    fake, backpropagate = jax.vjp(generate, state.generator)
    gradient = jax.grad(discriminator_loss)(state.discriminator, method, batch, fake)
    updates, d_optimizer = method.adam.update(gradient, state.discriminator_optimizer)
    discriminator = optax.apply_updates(state.discriminator, updates)
    gradient_by_fake = jax.grad(generator_loss)(fake, method, discriminator, batch)
    (gradient,) = backpropagate(gradient_by_fake)
    updates, g_optimizer = method.adam.update(gradient, state.generator_optimizer)
    return State(
        generator=optax.apply_updates(state.generator, updates),
        discriminator=discriminator,
        generator_optimizer=g_optimizer,
        discriminator_optimizer=d_optimizer,
        key=jax.random.fold_in(state.key, 0),
    )


def create_state(method: Method, batch: Batch, key: Array) -> State:
    """Makes the state before the first step."""
    pairs = jnp.concatenate([batch.image, batch.target], -1)
    rngs = {"params": key, "dropout": key}
    generator = jax.jit(method.generator.init)(rngs, batch.image)["params"]
    discriminator = jax.jit(method.discriminator.init)(rngs, pairs)["params"]
    adam = method.adam
    return State(generator, discriminator, adam.init(generator), adam.init(discriminator), key)


class Training:
    """Training of a resolved config on one batch of random images."""

    def __init__(self, config: Config):
        options, data = config.optimizer, config.data
        adam = optax.adam(options.learning_rate, options.b1, options.b2)
        method = Method(UNet(config), Discriminator(config), adam, config.loss)
        *image_keys, key = jax.random.split(jax.random.key(0), 3)
        shape = data.batch_size, *data.image_size, 3
        batch = Batch(*(jax.random.uniform(each, shape, minval=-1) for each in image_keys))
        self.step = jax.jit(partial(train_step, method, batch))
        self.state = create_state(method, batch, key)

    def run(self, steps: int) -> None:
        """Trains for a number of steps, one by one, and waits until they are done."""
        for _ in range(steps):
            self.state = self.step(self.state)
        jax.block_until_ready(self.state)

    def weights(self) -> tuple[Arrays, Arrays]:
        """The parameters of the generator and of the discriminator."""
        return (
            jax.tree.leaves(self.state.generator),
            jax.tree.leaves(self.state.discriminator),
        )


def make_trial(config: Config) -> Trial:
    """Makes a trial of the usual way to train in Flax: a loop that calls a jitted step."""
    training = Training(config)
    platform = jax.devices()[0].platform
    return Trial(training.run, 1, training.weights, device_memory, [platform])
