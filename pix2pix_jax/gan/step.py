"""The state of a run and the update of both networks."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax import Array

from pix2pix_jax.config.schema import Config
from pix2pix_jax.gan import losses
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.gan.optimizer import make_optimizer
from pix2pix_jax.gan.state import NetworkState, TrainState

Batch = dict[str, Array]  # input, target [b, h, w, c] in [-1, 1], and index [b]
Metrics = dict[str, Array]
METRIC_ORDER = (  # of Metrics, as a step comes to them: what is bad in one is bad in all after it
    "logits/real",
    "logits/fake",
    "loss/discriminator",
    "gradient/discriminator",
    "loss/generator_gan",
    "loss/generator_l1",
    "gradient/generator",
)


def apply_gradient(
    half: NetworkState, gradient: dict, optimizer: optax.GradientTransformation
) -> NetworkState:
    """A player after a step of its optimizer."""
    updates, opt_state = optimizer.update(gradient, half.opt_state, half.params)
    return NetworkState(optax.apply_updates(half.params, updates), opt_state)


def global_norm(tree: dict) -> Array:
    """The L2 norm of all leaves, each of which is read once and not squared in memory first."""
    large = [leaf.ravel() for leaf in jax.tree.leaves(tree) if leaf.ndim > 1]
    small = [leaf.ravel() for leaf in jax.tree.leaves(tree) if leaf.ndim < 2]
    vectors = [*large, jnp.concatenate(small)] if small else large
    return jnp.sqrt(jnp.stack([jnp.vdot(v, v, precision="highest") for v in vectors]).sum())


def make_train_step(
    config: Config, mean: Callable = lambda tree: tree
) -> Callable[[TrainState, Batch, Array], tuple[TrainState, Metrics]]:
    """One step on the discriminator, then one on the generator against the updated one (3.3).

    Or in another order, by `optimizer.updates`.

    Args:
      config: resolved.
      mean: averages gradients and metrics over devices.

    Returns:
      train_step(state, batch, key): the state after it, and scalar metrics of the step. `key` is
      the step's; an image's noise is keyed by it and the image's index. Gradients among the
      metrics are their L2 norms.
    """
    generator = make_generator(config)
    loss, order = config.loss, config.optimizer.updates
    rounds = (("real",), ("fake",)) if order == "real_then_fake" else (("real", "fake"),)
    g_optimizer, d_optimizer = make_optimizer(config), make_optimizer(config, len(rounds))

    def train_step(state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
        image, target = batch["input"], batch["target"]  # [b, h, w, c]
        together = min(config.model.norm_images or image.shape[0], image.shape[0])
        discriminator = make_discriminator(config).clone(norm_images=together)
        keys = jax.vmap(partial(jax.random.fold_in, key))(batch["index"])

        def generate(params: dict) -> Array:
            return generator.apply({"params": params}, image, keys)

        def discriminate(params: dict, output: Array) -> Array:
            # Of both sides at once, real and generated images are normalised apart all the same.
            sides = output.shape[0] // image.shape[0]
            seen = jnp.concatenate([image] * sides)
            seen = jnp.concatenate([seen, output], -1) if loss.conditional else output
            return discriminator.apply({"params": params}, seen)

        def discriminator_loss(params: dict, sides: tuple[str, ...]) -> tuple[Array, Metrics]:
            judged = discriminate(params, jnp.concatenate([outputs[side] for side in sides]))
            logits = dict(zip(sides, jnp.split(judged, len(sides)), strict=True))
            value = sum(losses.discriminator_loss(loss.gan, side, logits[side]) for side in sides)
            if loss.gan == "wgan_gp" and "fake" in sides:
                score = partial(discriminate, params)
                penalty = losses.gradient_penalty(score, target, fake, keys)
                value += loss.gradient_penalty * penalty
            means = {f"logits/{side}": logits[side].mean() for side in sides}
            return loss.discriminator_weight * value, means

        def generator_loss(fake: Array) -> tuple[Array, Metrics]:
            l1, gan = losses.l1(fake, target), jnp.zeros(())
            if loss.gan != "none":
                gan = losses.generator_loss(loss.gan, discriminate(opponent.params, fake))
            terms = {"loss/generator_gan": gan, "loss/generator_l1": l1}
            return gan + loss.l1_weight * l1, terms

        fake, pull_back = jax.vjp(generate, state.generator.params)
        outputs = {"real": target, "fake": fake}
        new_discriminator, zero = state.discriminator, jnp.zeros(())
        metrics = {"loss/discriminator": zero, "gradient/discriminator": zero}
        for sides in rounds if loss.gan != "none" else ():
            differentiate = jax.value_and_grad(discriminator_loss, has_aux=True)
            (value, logits), gradient = differentiate(new_discriminator.params, sides)
            gradient = mean(gradient)
            new_discriminator = apply_gradient(new_discriminator, gradient, d_optimizer)
            metrics["loss/discriminator"] += value
            metrics["gradient/discriminator"] += global_norm(gradient)
            metrics |= logits
        opponent = state.discriminator if order == "simultaneous" else new_discriminator
        (_, terms), gradient = jax.value_and_grad(generator_loss, has_aux=True)(fake)
        gradient = mean(pull_back(gradient)[0])
        terms["gradient/generator"] = global_norm(gradient)
        new_generator = apply_gradient(state.generator, gradient, g_optimizer)
        new_state = TrainState(state.step + 1, new_generator, new_discriminator)
        return new_state, mean(metrics | terms)

    return train_step
