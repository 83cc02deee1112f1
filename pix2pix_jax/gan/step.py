"""One training step: an update of the discriminator, and an update of the generator.

The symbols of the paper (sections 3.1 and 3.3) have these names in this file:

  x        batch["input"] [b, h, w, c], the images to translate, in [-1, 1]
  y        batch["target"] [b, h, w, c], the real images of the same pairs, in [-1, 1]
  z        keys [b], the noise: a PRNG key for each image, from which dropout is drawn
  G(x, z)  fake [b, h, w, c], the generated images, from `generate_images`
  D(x, y)  the sigmoid of the logits [b, h', w', 1] from `score_patches`, one logit for each patch
  lambda   method.loss.l1_weight

Every function has all its inputs as arguments.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.gan import losses
from pix2pix_jax.gan.losses import Label
from pix2pix_jax.gan.method import DISCRIMINATOR_UPDATES, Method
from pix2pix_jax.gan.optimizer import global_norm
from pix2pix_jax.gan.state import NetworkState, TrainState

Batch = dict[str, Array]  # `input` and `target` [b, h, w, c], and `index` [b]
Metrics = dict[str, Array]  # scalars
# The metrics of a step, in the order in which the step computes them. A value that is not finite
# makes later values not finite, too, so the first metric that is not finite is the nearest to the
# cause.
METRIC_ORDER = (
    "logits/real",
    "logits/fake",
    "loss/discriminator",
    "gradient/discriminator",
    "loss/generator_gan",
    "loss/generator_l1",
    "gradient/generator",
)


def train_step(
    method: Method, state: TrainState, batch: Batch, key: Array
) -> tuple[TrainState, Metrics]:
    """Updates the discriminator, then the generator against the new discriminator (section 3.3).

    If `method.updates` is "simultaneous", the generator is updated against the old discriminator.

    Args:
      method: networks, optimizers and losses.
      state: the state before the step.
      batch: input and target [b, h, w, c] in [-1, 1], and the index [b] of every image in the
        batch of all devices.
      key: PRNG key of the step.

    Returns:
      The state after the step, and the metrics in METRIC_ORDER; if `loss.gan` is "none", there are
      no logits. `gradient/...` is the L2 norm of a network's gradient.
    """
    # An image's noise depends on the step and on its index, but not on its device.
    keys = jax.vmap(partial(jax.random.fold_in, key))(batch["index"])  # [b]
    # One forward pass of the generator serves both updates; `backpropagate` is its backward pass.
    generate = partial(generate_images, method, batch=batch, keys=keys)
    fake, backpropagate = jax.vjp(generate, state.generator.params)
    discriminator, discriminator_metrics = run_discriminator_updates(
        method, state.discriminator, batch, fake, keys
    )
    opponent = state.discriminator if method.updates == "simultaneous" else discriminator
    generator, generator_metrics = generator_update(
        method, state.generator, opponent, batch, fake, backpropagate
    )
    new_state = TrainState(state.step + 1, generator, discriminator)
    return new_state, method.average(discriminator_metrics | generator_metrics)


def run_discriminator_updates(
    method: Method, network: NetworkState, batch: Batch, fake: Array, keys: Array
) -> tuple[NetworkState, Metrics]:
    """Runs all updates of the discriminator in one step; with `loss.gan` "none", it does not train.

    Args:
      method: networks, optimizers and losses.
      network: the discriminator before the step.
      batch: the batch of the step.
      fake: [b, h, w, c], the generated images.
      keys: [b] PRNG keys.

    Returns:
      The discriminator after the step, and its metrics, each summed over the updates.
    """
    zero = jnp.zeros(())
    metrics = {"loss/discriminator": zero, "gradient/discriminator": zero}
    if method.loss.gan == "none":
        return network, metrics
    images: dict[Label, Array] = {"real": batch["target"], "fake": fake}
    for labels in DISCRIMINATOR_UPDATES[method.updates]:
        network, update_metrics = discriminator_update(
            method, network, batch, {label: images[label] for label in labels}, keys
        )
        metrics |= {name: metrics.get(name, 0) + value for name, value in update_metrics.items()}
    return network, metrics


def discriminator_update(
    method: Method, network: NetworkState, batch: Batch, images: dict[Label, Array], keys: Array
) -> tuple[NetworkState, Metrics]:
    """Trains the discriminator to tell real images from generated images.

    Args:
      method: networks, optimizers and losses.
      network: the discriminator before the update.
      batch: the batch of the step.
      images: the images to learn from, [b, h, w, c] for each label: "real", "fake" or both.
      keys: [b] PRNG keys.

    Returns:
      The discriminator after the update, and its loss, gradient norm and mean logits.
    """
    differentiate = jax.value_and_grad(discriminator_loss, argnums=1, has_aux=True)
    (loss, logits), gradient = differentiate(method, network.params, batch, images, keys)
    gradient = method.average(gradient)
    metrics = {"loss/discriminator": loss, "gradient/discriminator": global_norm(gradient)}
    return network.apply_gradient(gradient, method.discriminator_optimizer), metrics | logits


def discriminator_loss(
    method: Method, params: dict, batch: Batch, images: dict[Label, Array], keys: Array
) -> tuple[Array, Metrics]:
    """The discriminator's weighted loss (equation 1), and the mean logit of each label.

    Args: as in `discriminator_update`; `params` are the parameters of the discriminator.
    """
    labels, gan = tuple(images), method.loss.gan
    joined = jnp.concatenate([images[label] for label in labels])  # [n * b, h, w, c]
    scores = jnp.split(score_patches(method, params, batch, joined), len(labels))
    logits = dict(zip(labels, scores, strict=True))  # [b, h', w', 1] each
    total = cast(
        Array, sum(losses.discriminator_gan_loss(gan, label, logits[label]) for label in labels)
    )
    if gan == "wgan_gp" and "fake" in labels:
        score = partial(score_patches, method, params, batch)
        penalty = losses.gradient_penalty(score, batch["target"], images["fake"], keys)
        total += method.loss.gradient_penalty * penalty
    means = {f"logits/{label}": logits[label].mean() for label in labels}
    return method.loss.discriminator_weight * total, means


def generator_update(
    method: Method,
    network: NetworkState,
    discriminator: NetworkState,
    batch: Batch,
    fake: Array,
    backpropagate: Callable[[Array], tuple[dict]],
) -> tuple[NetworkState, Metrics]:
    """Trains the generator to fool the discriminator and to come close to the targets.

    Args:
      method: networks, optimizers and losses.
      network: the generator before the update.
      discriminator: the discriminator to fool.
      batch: the batch of the step.
      fake: [b, h, w, c], the generator's images.
      backpropagate: turns the gradient of the loss with respect to `fake` into the gradient with
        respect to the generator's parameters.

    Returns:
      The generator after the update, and its losses and gradient norm.
    """
    differentiate = jax.value_and_grad(generator_loss, argnums=1, has_aux=True)
    (_, metrics), fake_gradient = differentiate(method, fake, discriminator.params, batch)
    gradient = method.average(backpropagate(fake_gradient)[0])
    metrics |= {"gradient/generator": global_norm(gradient)}
    return network.apply_gradient(gradient, method.generator_optimizer), metrics


def generator_loss(
    method: Method, fake: Array, discriminator_params: dict, batch: Batch
) -> tuple[Array, Metrics]:
    """The generator's loss (equation 4), and its adversarial and L1 terms, without their weights.

    Args: as in `generator_update`; `discriminator_params` are the discriminator's parameters.
    """
    l1, gan = losses.l1_loss(fake, batch["target"]), jnp.zeros(())
    if method.loss.gan != "none":
        logits = score_patches(method, discriminator_params, batch, fake)
        gan = losses.generator_gan_loss(method.loss.gan, logits)
    return gan + method.loss.l1_weight * l1, {"loss/generator_gan": gan, "loss/generator_l1": l1}


def generate_images(method: Method, params: dict, batch: Batch, keys: Array) -> Array:
    """Translates the inputs of a batch with the generator: images [b, h, w, c] in [-1, 1]."""
    return cast(Array, method.generator.apply({"params": params}, batch["input"], keys))


def score_patches(method: Method, params: dict, batch: Batch, images: Array) -> Array:
    """Scores images with the discriminator.

    Args:
      method: networks, optimizers and losses.
      params: the discriminator's parameters.
      batch: the batch of the step, with b pairs.
      images: [n * b, h, w, c]; n is 2 if real and generated images are scored in one pass, else 1.

    Returns:
      Logits [n * b, h', w', 1].
    """
    inputs = batch["input"]
    b = inputs.shape[0]
    if method.loss.conditional:
        repeated = jnp.concatenate([inputs] * (images.shape[0] // b))
        images = jnp.concatenate([repeated, images], -1)  # [n * b, h, w, input + target channels]
    # At most b images share the statistics of a norm, so norms never mix real and fake images.
    norm = method.discriminator.norm
    norm = replace(norm, images_per_mean=min(norm.images_per_mean or b, b))
    module = method.discriminator.clone(norm=norm)
    return cast(Array, module.apply({"params": params}, images))
