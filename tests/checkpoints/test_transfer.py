"""A new run takes the networks of another run, and the moments of their optimizers."""

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest
from helpers.refusals import refusal
from helpers.states import state_of
from helpers.steps import assert_equal

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.reader import read_network
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.checkpoints.transfer import transfer_state
from pix2pix_jax.config import Loss, Optimizer
from pix2pix_jax.config.files import override
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.gan.optimizer import make_optimizer
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.runs.workdir import Workdir


@pytest.fixture
def trained(small, tmp_path):
    """The workdir of a run with random parameters and moments at step 40, and its state."""
    workdir = Workdir(tmp_path / "old")
    state = state_of(small)

    def advance(network):
        gradient = jax.tree.map(lambda leaf: 0.1 * leaf, network.params)
        return network.apply_gradient(gradient, make_optimizer(small))

    state = state.replace(
        step=np.int32(40),
        generator=advance(state.generator),
        discriminator=advance(state.discriminator),
    )
    state = jax.device_get(state)
    with CheckpointStore(workdir, keep=2, best_metric="l1") as store:
        store.save(Checkpoint(state, Totals(), "old pairs", {"l1": 0.5}))
    return workdir, state


def changed(config, **fields):
    return resolve(override(config, {name.replace("__", "."): v for name, v in fields.items()}))


def adam(opt_state):
    is_adam = lambda node: isinstance(node, optax.ScaleByAdamState)  # noqa: E731
    [found] = [n for n in jax.tree.leaves(opt_state, is_leaf=is_adam) if is_adam(n)]
    return found


@pytest.mark.parametrize("step", [40, "newest", "best"])
def test_networks_and_optimizers_are_taken_and_steps_start_at_0(small, trained, step):
    workdir, old = trained
    new = changed(small, optimizer__learning_rate="1e-5", loss__l1_weight="10", seed="3")
    found = transfer_state(workdir, small, step, new)
    assert (found.step, found.why_new_discriminator) == (40, "")
    assert_equal(found.state, old.replace(step=np.int32(0)))


def test_another_schedule_starts_again_with_the_moments_of_the_other_run(small, trained):
    workdir, old = trained
    new = changed(small, optimizer__schedule="linear_decay")
    state = transfer_state(workdir, small, 40, new).state
    expected = create_state(new)
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    assert_equal(adam(state.generator.opt_state), adam(old.generator.opt_state))
    assert state.generator.opt_state[1].count == 0


def test_with_epsilon_hat_epsilon_follows_the_count_of_the_moments(small, trained):
    """The state of this optimizer also has the old learning rate, which must not be taken."""
    workdir, old = trained
    optimizer = Optimizer(epsilon_hat=True, learning_rate=0.125)
    new = replace(small, optimizer=optimizer)
    opt_state = transfer_state(workdir, small, 40, new).state.generator.opt_state
    assert_equal(adam(opt_state), adam(old.generator.opt_state))
    assert opt_state.hyperparams_states["eps"].count == 1
    assert opt_state.hyperparams["learning_rate"] == 0.125


def test_another_discriminator_is_new_and_the_reason_is_reported(small, trained):
    workdir, old = trained
    new = changed(small, model__discriminator="pixel", seed="5")
    found = transfer_state(workdir, small, 40, new)
    assert_equal(found.state.generator, old.generator)
    assert_equal(found.state.discriminator, create_state(new).discriminator)
    assert found.why_new_discriminator == (
        "model.discriminator is patch16 in that run and pixel in this run"
    )


def test_the_discriminator_of_a_run_without_gan_loss_is_not_taken(small, trained):
    """The discriminator of such a run was never trained."""
    workdir, _ = trained
    l1_only = replace(small, loss=Loss(gan="none"))
    found = transfer_state(workdir, l1_only, 40, small)
    assert found.why_new_discriminator == "the other run has no discriminator"
    assert_equal(found.state.discriminator, create_state(small).discriminator)


def test_a_discriminator_accepts_images_of_another_size(small, trained):
    """Neither network has a layer that depends on the size, if the U-Net keeps its depth."""
    workdir, old = trained
    size = {"data__image_size": "64", "data__load_size": "72"}
    new = changed(small, **size, model__depth="4", model__bottleneck_norm="True")
    found = transfer_state(workdir, small, 40, new)
    assert found.why_new_discriminator == ""
    assert_equal(found.state.discriminator.params, old.discriminator.params)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"model__depth": "5"},
            # The norm of the last encoder layer follows from the depth.
            "model.depth is 4 in that run and 5 in this run; give --config.model.depth=4, or leave",
        ),
        (
            {"data__target_channels": "1"},
            "data.target_channels is 3 in that run and 1 in this run; give "
            "--config.data.target_channels=3, or",
        ),
        (
            {"model__generator": "encoder_decoder"},
            "model.generator is unet in that run and encoder_decoder in this run; give "
            "--config.model.generator",
        ),
    ],
)
def test_a_generator_that_does_not_fit_is_refused_with_its_fields(small, trained, fields, expected):
    workdir, _ = trained
    message = refusal(transfer_state, workdir, small, 40, changed(small, **fields))
    assert message.startswith(f"--init: the generator of {workdir} does not fit, because ")
    assert expected in message


def test_a_step_that_is_not_saved_is_refused(small, trained):
    workdir, _ = trained
    message = refusal(transfer_state, workdir, small, 41, small)
    assert message.startswith("--init: there is no checkpoint 41 in ")
    assert message.endswith(f"; give --init={workdir}:40")
    (workdir.checkpoints_folder / "30").mkdir()
    message = refusal(transfer_state, workdir, small, 41, small)
    assert message.endswith(f"; give --init={workdir}:STEP with one of the steps 30, 40")


def test_a_best_step_without_a_score_is_refused_with_the_steps_that_exist(small, trained):
    """The flag train.best_metric would change the new run, not the other run."""
    workdir, _ = trained
    old = changed(small, train__best_metric="psnr")
    message = refusal(transfer_state, workdir, old, "best", small)
    assert message.startswith("--init: no checkpoint in ")
    assert message.endswith(f"has a score of psnr; give --init={workdir}:40")
    message = refusal(read_network, workdir, old, "best")
    assert message.startswith("--step: no checkpoint in ")
    assert message.endswith("has a score of psnr; give --config.train.best_metric=l1")
