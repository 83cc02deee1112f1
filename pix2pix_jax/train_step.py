"""The state of a run and the update of both networks."""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from pix2pix_jax import losses
from pix2pix_jax.backend import on_devices
from pix2pix_jax.config import Config
from pix2pix_jax.data.pipeline import taken
from pix2pix_jax.discriminator import make_discriminator
from pix2pix_jax.generator import make_generator

Batch = dict[str, Array]  # input, target [b, h, w, c] in [-1, 1], and index [b]
Metrics = dict[str, Array]
TERMS = (  # of Metrics, as a step comes to them: what is bad in one is bad in all after it
    "logits/real",
    "logits/fake",
    "loss/discriminator",
    "gradient/discriminator",
    "loss/generator_gan",
    "loss/generator_l1",
    "gradient/generator",
)
Purpose = Literal["parameters", "steps", "samples", "evaluation", "translations"]


@flax.struct.dataclass
class Half:
    """One of the two players: its parameters and the optimizer's state for them."""

    params: dict
    opt_state: optax.OptState


@flax.struct.dataclass
class TrainState:
    """Arrays alone; with a config and a seed, all that a run goes on from."""

    step: Array  # completed updates, int32
    generator: Half
    discriminator: Half


def make_optimizer(config: Config, updates_a_step: int = 1) -> optax.GradientTransformation:
    """Adam(2e-4, b1=0.5, b2=0.999), section 3.3, at a constant or a decaying rate."""
    options, rate = config.optimizer, config.optimizer.learning_rate
    if options.schedule == "linear_decay":
        half = config.train.steps // 2
        decay = optax.linear_schedule(rate, 0.0, config.train.steps - half, transition_begin=half)
        rate = lambda count: decay(count // updates_a_step)  # noqa: E731
    if not options.epsilon_hat:
        return optax.adam(rate, options.b1, options.b2, options.epsilon)
    # Optax adds it to sqrt(v / (1 - b2^t)), so that it has to be divided by sqrt(1 - b2^t), too.
    adam = optax.inject_hyperparams(optax.adam, static_args=("b1", "b2"))
    return adam(
        rate,
        options.b1,
        options.b2,
        lambda count: options.epsilon / jnp.sqrt(1 - options.b2 ** (count + 1)),
    )


def create_state(config: Config) -> TrainState:
    """The state at step 0: a function of a resolved config and its seed."""
    data, optimizer = config.data, make_optimizer(config)
    image = jnp.zeros((1, *data.image_size, data.input_channels))
    target = jnp.zeros((1, *data.image_size, data.target_channels))
    seen = jnp.concatenate([image, target], -1) if config.loss.conditional else target

    def half(module: nn.Module, key: Array, x: Array) -> Half:
        params = module.init(key, x)["params"]
        return Half(params, optimizer.init(params))

    @jax.jit
    def create(key: Array) -> TrainState:
        generator_key, discriminator_key = jax.random.split(key)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            generator=half(make_generator(config), generator_key, image),
            discriminator=half(make_discriminator(config), discriminator_key, seen),
        )

    return create(purpose_key(config, "parameters"))


def update(half: Half, gradient: dict, optimizer: optax.GradientTransformation) -> Half:
    """A player after a step of its optimizer."""
    updates, opt_state = optimizer.update(gradient, half.opt_state, half.params)
    return Half(optax.apply_updates(half.params, updates), opt_state)


def norm(tree: dict) -> Array:
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
            new_discriminator = update(new_discriminator, gradient, d_optimizer)
            metrics["loss/discriminator"] += value
            metrics["gradient/discriminator"] += norm(gradient)
            metrics |= logits
        opponent = state.discriminator if order == "simultaneous" else new_discriminator
        (_, terms), gradient = jax.value_and_grad(generator_loss, has_aux=True)(fake)
        gradient = mean(pull_back(gradient)[0])
        terms["gradient/generator"] = norm(gradient)
        new_generator = update(state.generator, gradient, g_optimizer)
        new_state = TrainState(state.step + 1, new_generator, new_discriminator)
        return new_state, mean(metrics | terms)

    return train_step


def parallel_steps(
    config: Config, pairs: Batch | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """`train_step` on every device, several steps to a call: where jit, pmap and scan are applied.

    Args:
      config: resolved.
      pairs: of `pipeline.resident`, from which batches are then taken, or nothing.

    Returns:
      steps(state, batches): `batches` has leading axes [devices, steps, images of a device];
      the state is donated; metrics are stacked, [steps].
    """
    alone = jax.device_count() == 1  # when a mean would be a copy of all gradients
    mean = (lambda tree: tree) if alone else partial(jax.lax.pmean, axis_name="devices")
    train_step = make_train_step(config, mean)

    def steps(
        state: TrainState, batches: Batch, pairs: Batch, key: Array
    ) -> tuple[TrainState, Metrics]:
        def one(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            batch = taken(pairs, batch, config.data)
            # The key is step_key's, with the first half of the way done outside.
            return train_step(state, batch, jax.random.fold_in(key, state.step))

        return jax.lax.scan(one, state, batches)

    mapped = jax.pmap(
        steps,
        axis_name="devices",
        in_axes=(None, 0, None, None),
        out_axes=(None, None),
        donate_argnums=0,
    )
    # Handed over and no part of the program, which is the same for all seeds.
    resident, key = on_devices((pairs or {}, purpose_key(config, "steps")))
    return lambda state, batches: mapped(state, batches, resident, key)


def step_key(config: Config, step: Array) -> Array:
    """All randomness of a training step is a function of the seed and the step."""
    return jax.random.fold_in(purpose_key(config, "steps"), step)


def purpose_key(config: Config, purpose: Purpose) -> Array:
    """Keeps apart what is drawn from one seed."""
    place = get_args(Purpose).index(purpose)
    return jax.random.fold_in(jax.random.key(config.seed), place)
