"""A training step: one update of each network (section 3.3), with all inputs as arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array

from pix2pix_jax.config.schema import Config, Loss
from pix2pix_jax.gan import losses
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.gan.optimizer import make_optimizer
from pix2pix_jax.gan.state import NetworkState, TrainState
from pix2pix_jax.models.patchgan import Discriminator
from pix2pix_jax.models.unet import UNet

Batch = dict[str, Array]  # input, target [b, h, w, c] in [-1, 1], and index [b]
Metrics = dict[str, Array]  # scalars
# The metrics of a step in the order in which it computes them. If one is not finite, so are all
# after it; the first one names the cause.
METRIC_ORDER = (
    "logits/real",
    "logits/fake",
    "loss/discriminator",
    "gradient/discriminator",
    "loss/generator_gan",
    "loss/generator_l1",
    "gradient/generator",
)
# The images of each update of the discriminator in a step, by `optimizer.updates`.
DISCRIMINATOR_UPDATES: dict[str, tuple[tuple[str, ...], ...]] = {
    "alternating": (("real", "fake"),),
    "simultaneous": (("real", "fake"),),
    "real_then_fake": (("real",), ("fake",)),
}


@dataclass(frozen=True)
class Method:
    """What stays the same from step to step.

    Attributes:
      generator, discriminator: the modules.
      generator_optimizer, discriminator_optimizer: their optimizers.
      loss: the losses and their weights.
      updates: the order of updates, `optimizer.updates`.
      average: averages gradients and metrics over devices.
    """

    generator: UNet
    discriminator: Discriminator
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    loss: Loss
    updates: str
    average: Callable[[Any], Any]


def make_method(config: Config, average: Callable[[Any], Any] = lambda tree: tree) -> Method:
    """The method that a resolved config describes; `average` is over devices."""
    updates = DISCRIMINATOR_UPDATES[config.optimizer.updates]
    return Method(
        generator=make_generator(config),
        discriminator=make_discriminator(config),
        generator_optimizer=make_optimizer(config),
        discriminator_optimizer=make_optimizer(config, updates_a_step=len(updates)),
        loss=config.loss,
        updates=config.optimizer.updates,
        average=average,
    )


def train_step(
    method: Method, state: TrainState, batch: Batch, key: Array
) -> tuple[TrainState, Metrics]:
    """One step on the discriminator, then one on the generator against the updated one (3.3).

    Args:
      method: what stays the same from step to step.
      state: before the step.
      batch: input and target [b, h, w, c] in [-1, 1], and the index [b] of every image.
      key: of the step; with an image's index it makes the key of that image's noise.

    Returns:
      The state after the step, and its metrics; gradients among them are L2 norms.
    """
    keys = jax.vmap(partial(jax.random.fold_in, key))(batch["index"])
    generate = partial(generate_images, method, batch, keys)
    fake, backpropagate = jax.vjp(generate, state.generator.params)
    images = {"real": batch["target"], "fake": fake}
    discriminator, zero = state.discriminator, jnp.zeros(())
    metrics = {"loss/discriminator": zero, "gradient/discriminator": zero}
    if method.loss.gan != "none":
        for sides in DISCRIMINATOR_UPDATES[method.updates]:
            discriminator, terms = discriminator_update(
                method, discriminator, batch, {side: images[side] for side in sides}, keys
            )
            metrics |= {name: metrics.get(name, 0) + value for name, value in terms.items()}
    opponent = state.discriminator if method.updates == "simultaneous" else discriminator
    generator, terms = generator_update(
        method, state.generator, opponent, batch, fake, backpropagate
    )
    new_state = TrainState(state.step + 1, generator, discriminator)
    return new_state, method.average(metrics | terms)


def discriminator_update(
    method: Method, network: NetworkState, batch: Batch, images: dict[str, Array], keys: Array
) -> tuple[NetworkState, Metrics]:
    """Trains the discriminator to tell real images from generated ones.

    Args:
      method: what stays the same from step to step.
      network: the discriminator before the update.
      batch: of the step.
      images: [b, h, w, c] to score, by side: "real", "fake", or both.
      keys: [b] PRNG keys, one an image.
    """
    differentiate = jax.value_and_grad(discriminator_loss, has_aux=True)
    (loss, logits), gradient = differentiate(network.params, method, batch, images, keys)
    gradient = method.average(gradient)
    metrics = {"loss/discriminator": loss, "gradient/discriminator": global_norm(gradient)}
    return apply_gradient(network, gradient, method.discriminator_optimizer), metrics | logits


def discriminator_loss(
    params: dict, method: Method, batch: Batch, images: dict[str, Array], keys: Array
) -> tuple[Array, Metrics]:
    """The discriminator's loss (equation 1), and the mean logit of every side."""
    sides, loss = tuple(images), method.loss
    scores = score_patches(method, params, batch, jnp.concatenate([images[s] for s in sides]))
    logits = dict(zip(sides, jnp.split(scores, len(sides)), strict=True))
    value = cast(
        Array, sum(losses.discriminator_loss(loss.gan, side, logits[side]) for side in sides)
    )
    if loss.gan == "wgan_gp" and "fake" in sides:
        score = partial(score_patches, method, params, batch)
        penalty = losses.gradient_penalty(score, batch["target"], images["fake"], keys)
        value += loss.gradient_penalty * penalty
    means = {f"logits/{side}": logits[side].mean() for side in sides}
    return loss.discriminator_weight * value, means


def generator_update(
    method: Method,
    network: NetworkState,
    discriminator: NetworkState,
    batch: Batch,
    fake: Array,
    backpropagate: Callable[[Array], tuple[dict]],
) -> tuple[NetworkState, Metrics]:
    """Trains the generator to fool the discriminator, and to be near the target.

    Args:
      method: what stays the same from step to step.
      network: the generator before the update.
      discriminator: its opponent.
      batch: of the step.
      fake: [b, h, w, c], the generator's images.
      backpropagate: from the loss's gradient by `fake` to its gradient by the parameters.
    """
    differentiate = jax.value_and_grad(generator_loss, has_aux=True)
    (_, metrics), gradient_by_fake = differentiate(fake, method, discriminator.params, batch)
    gradient = method.average(backpropagate(gradient_by_fake)[0])
    metrics |= {"gradient/generator": global_norm(gradient)}
    return apply_gradient(network, gradient, method.generator_optimizer), metrics


def generator_loss(
    fake: Array, method: Method, discriminator_params: dict, batch: Batch
) -> tuple[Array, Metrics]:
    """The generator's loss (equation 4): fooling the discriminator, and the L1 distance."""
    l1, gan = losses.l1(fake, batch["target"]), jnp.zeros(())
    if method.loss.gan != "none":
        logits = score_patches(method, discriminator_params, batch, fake)
        gan = losses.generator_loss(method.loss.gan, logits)
    return gan + method.loss.l1_weight * l1, {"loss/generator_gan": gan, "loss/generator_l1": l1}


def generate_images(method: Method, batch: Batch, keys: Array, params: dict) -> Array:
    """The generator's images for the inputs of a batch, [b, h, w, c] in [-1, 1]."""
    return cast(Array, method.generator.apply({"params": params}, batch["input"], keys))


def score_patches(method: Method, params: dict, batch: Batch, images: Array) -> Array:
    """The discriminator's logits [n * b, h', w', 1] of images [n * b, h, w, c].

    Real and generated images are scored in one pass (n = 2), but a norm never mixes them.
    """
    inputs = batch["input"]
    b = inputs.shape[0]
    images_a_norm = min(method.discriminator.norm_images or b, b)
    if method.loss.conditional:
        repeated = jnp.concatenate([inputs] * (images.shape[0] // b))
        images = jnp.concatenate([repeated, images], -1)  # [n * b, h, w, input + target channels]
    module = method.discriminator.clone(norm_images=images_a_norm)
    return cast(Array, module.apply({"params": params}, images))


def apply_gradient(
    network: NetworkState, gradient: dict, optimizer: optax.GradientTransformation
) -> NetworkState:
    """A network after one step of its optimizer."""
    updates, opt_state = optimizer.update(gradient, network.opt_state, network.params)
    return NetworkState(optax.apply_updates(network.params, updates), opt_state)


def global_norm(tree: dict) -> Array:
    """The L2 norm over all leaves. Every leaf is read once; its square is not stored."""
    large = [leaf.ravel() for leaf in jax.tree.leaves(tree) if leaf.ndim > 1]
    small = [leaf.ravel() for leaf in jax.tree.leaves(tree) if leaf.ndim < 2]
    vectors = [*large, jnp.concatenate(small)] if small else large
    return jnp.sqrt(jnp.stack([jnp.vdot(v, v, precision="highest") for v in vectors]).sum())
