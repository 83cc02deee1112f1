"""The learning rate of every step equals that of PyTorch's schedulers."""

import math
import os
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import optax
import pytest
from helpers.refusals import refusal

from pix2pix_jax.config import Config, Data, Optimizer, Train, preset, resolve
from pix2pix_jax.config.files import override
from pix2pix_jax.config.resolve import decay_epochs, needs_num_pairs, resolve_epochs, run_epochs
from pix2pix_jax.config.resume import changed_fields
from pix2pix_jax.gan.optimizer import make_optimizer
from pix2pix_jax.gan.schedules import learning_rate_schedule
from pix2pix_jax.training.train import rate_lines

RATE = 2e-4


def make_config(schedule, pairs, batch_size=1, decay=None, epochs=6, **optimizer):
    config = Config(
        data=Data(batch_size=batch_size),
        optimizer=Optimizer(schedule=schedule, learning_rate=RATE, **optimizer),
        train=Train(epochs=epochs, decay_epochs=decay),
    )
    return resolve_epochs(resolve(config), pairs)


def rates(config):
    """The rate of every step."""
    schedule = jax.jit(learning_rate_schedule(config))
    return np.array([schedule(step) for step in range(config.train.steps)])


def scheduler_rates(name, count, *args, **options):
    """The rates of a scheduler of PyTorch before its first step, and after each step."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[parity]'")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, *args, **options)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-10)


def epochs_of(config, pairs):
    """The epoch, from 0, of every step: an epoch ends when all pairs were used."""
    return [step * config.data.batch_size // pairs for step in range(config.train.steps)]


CASES = [(5, 1), (8, 4), (7, 4), (3, 2)]  # numbers of pairs and batch sizes


@pytest.mark.parametrize(("pairs", "batch_size"), CASES)
@pytest.mark.parametrize("decay", [None, 1, 2, 6])
def test_linear_decay_per_epoch_is_the_lambda_rule_of_the_pytorch_code(pairs, batch_size, decay):
    """The scheduler steps at the beginning of every epoch, so epoch 1 has the second rate."""
    config = make_config("linear_decay", pairs, batch_size, decay, decay_per="epoch")
    last = decay or 3
    first = 6 - last

    def rule(epoch):
        return 1.0 - max(0, epoch + 1 - first) / float(last + 1)

    per_epoch = scheduler_rates("LambdaLR", 7, rule)[1:]
    assert_close(rates(config), per_epoch[epochs_of(config, pairs)])
    assert per_epoch[-1] == rates(config)[-1] == 0


@pytest.mark.parametrize(("pairs", "batch_size"), CASES)
def test_cosine_per_epoch_is_pytorchs_over_all_epochs(pairs, batch_size):
    config = make_config("cosine", pairs, batch_size, decay_per="epoch")
    per_epoch = scheduler_rates("CosineAnnealingLR", 7, T_max=6)[1:]
    assert_close(rates(config), per_epoch[epochs_of(config, pairs)])


@pytest.mark.parametrize(("pairs", "batch_size"), CASES)
@pytest.mark.parametrize("decay_per", ["step", "epoch"])
def test_step_is_pytorchs_over_epochs(pairs, batch_size, decay_per):
    config = make_config(
        "step", pairs, batch_size, decay_per=decay_per, decay_interval=2, decay_factor=0.3
    )
    per_epoch = scheduler_rates("StepLR", 7, step_size=2, gamma=0.3)
    per_epoch = per_epoch[1 if decay_per == "epoch" else 0 :]
    assert_close(rates(config), per_epoch[epochs_of(config, pairs)])


@pytest.mark.parametrize(("pairs", "batch_size"), CASES)
@pytest.mark.parametrize("decay", [None, 2])
def test_linear_decay_per_step_falls_in_the_last_epochs(pairs, batch_size, decay):
    config = make_config("linear_decay", pairs, batch_size, decay)
    steps = config.train.steps
    begin = steps // 2 if decay is None else steps - math.ceil(decay * pairs / batch_size)

    def rule(step):
        return 1 - max(0, step - begin) / (steps - begin)

    assert_close(rates(config), scheduler_rates("LambdaLR", steps, rule))


def test_cosine_per_step_is_pytorchs_over_all_steps_or_over_the_last_epochs():
    config = make_config("cosine", pairs=5)
    assert_close(rates(config), scheduler_rates("CosineAnnealingLR", 30, T_max=30))
    config = make_config("cosine", pairs=5, decay=2)
    last = scheduler_rates("CosineAnnealingLR", 10, T_max=10)
    assert_close(rates(config), [RATE] * 20 + list(last))


def test_cosine_per_epoch_can_decay_in_the_last_epochs():
    """The last 3 of 6 epochs have the rates of PyTorch's epochs 1 to 3 of 3."""
    config = make_config("cosine", pairs=5, decay=3, decay_per="epoch")
    last = scheduler_rates("CosineAnnealingLR", 4, T_max=3)[1:]
    assert_close(rates(config), np.repeat([RATE, RATE, RATE, *last], 5))


@pytest.mark.parametrize("steps", [9, 80_000])
def test_the_old_linear_decay_has_the_bits_of_earlier_versions(steps):
    config = Config(optimizer=Optimizer(schedule="linear_decay"), train=Train(steps=steps))
    old = optax.linear_schedule(2e-4, 0.0, steps - steps // 2, transition_begin=steps // 2)
    new, every = learning_rate_schedule(config), np.arange(0, steps, max(1, steps // 1000))
    np.testing.assert_array_equal(jax.jit(jax.vmap(new))(every), jax.jit(jax.vmap(old))(every))
    assert not needs_num_pairs(config)
    assert resolve_epochs(config, 27) == config


def test_a_long_run_with_large_batches_stays_in_the_range_of_int32():
    config = make_config("step", pairs=1_000_003, batch_size=1000, epochs=2_000_000)
    schedule = learning_rate_schedule(replace(config, optimizer=Optimizer(
        schedule="step", decay_interval=1_900_000, learning_rate=RATE)))  # fmt: skip
    last = config.train.steps - 1
    assert last * 1000 > 2**31
    assert [float(schedule(np.int32(step))) for step in (0, last)] == pytest.approx(
        [RATE, RATE / 10]
    )


def test_products_that_do_not_fit_into_int32_are_refused():
    config = replace(
        Config(data=Data(batch_size=2048), optimizer=Optimizer(schedule="step")),
        train=Train(steps=100),
    )
    message = refusal(resolve_epochs, config, 2**20)
    assert message == (
        "data.batch_size: batches of 2048 from 1,048,576 pairs are too large for the 32-bit number "
        "of an epoch; give a smaller batch_size, fewer train.steps, or "
        "--config.optimizer.schedule=constant"
    )
    # A schedule that changes at every step needs no epoch of a step.
    linear = replace(config, optimizer=Optimizer(schedule="linear_decay"))
    linear = replace(linear, train=Train(steps=10_000, decay_epochs=2))
    assert resolve_epochs(linear, 2**20).train.num_pairs == 2**20
    assert resolve_epochs(config, 2**20 - 1).train.num_pairs == 2**20 - 1


def test_the_last_epoch_has_the_rate_0_in_compiled_steps_too():
    """XLA divides by multiplying with the reciprocal; the tests run without its optimizations.

    These divisors times their reciprocals are not 1 in float32.
    """
    divisors = [n for n in range(2, 100) if np.float32(n) * (np.float32(1) / np.float32(n)) != 1]
    assert 41 in divisors
    program = f"""
import jax
from pix2pix_jax.config import Config, Optimizer, Train
from pix2pix_jax.gan.schedules import learning_rate_schedule
for schedule in ("linear_decay", "cosine"):
    optimizer = Optimizer(schedule=schedule, decay_per="epoch")
    for divisor in {divisors}:
        # Half of the epochs is the divisor of the cosine, and 1 less than that of the linear decay.
        decay = divisor - 1 if schedule == "linear_decay" else divisor
        train = Train(steps=2 * decay, decay_epochs=decay, num_pairs=1)
        config = Config(optimizer=optimizer, train=train)
        rates = jax.jit(jax.vmap(learning_rate_schedule(config)))
        before, last = rates(jax.numpy.array([0, train.steps - 1]))
        assert before > 0 == last, (schedule, decay, before, last)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "XLA_FLAGS": ""})


def test_a_run_of_one_epoch_has_a_constant_rate():
    """All 5 steps with 5 pairs are in the first epoch."""
    config = preset("pytorch", Config(train=Train(steps=5)))
    np.testing.assert_array_equal(rates(resolve_epochs(config, 5)), np.float32([RATE] * 5))
    assert rate_lines(resolve_epochs(config, 5)) == []
    # One step more begins a second epoch, which is the last.
    config = override(config, {"train.steps": "6"})
    assert_close(rates(resolve_epochs(config, 5)), [RATE / 2] * 5 + [0])


def test_a_run_that_would_train_nothing_is_refused():
    for schedule, decay in [("cosine", None), ("linear_decay", 1)]:
        config = Config(
            optimizer=Optimizer(schedule=schedule, decay_per="epoch"),
            train=Train(steps=20, decay_epochs=decay),
        )
        assert refusal(resolve_epochs, config, 27) == (
            f"optimizer.decay_per: {schedule} has the learning rate 0 in the last epoch, and a run "
            "of 20 steps ends in its first epoch; give --config.optimizer.decay_per=step, or a "
            "longer run"
        )
        per_step = override(config, {"optimizer.decay_per": "step"})
        assert rates(resolve_epochs(per_step, 27)).min() > 0


def test_the_number_of_pairs_is_recorded_only_if_the_rate_depends_on_it():
    given = Config(train=Train(steps=20, num_pairs=7))
    assert resolve_epochs(given, 400).train.num_pairs is None
    step = replace(given, optimizer=Optimizer(schedule="step"))
    assert resolve_epochs(step, 400).train.num_pairs == 400


def test_a_short_run_says_that_the_rate_of_its_last_epoch_is_0():
    lines = {
        epochs: rate_lines(make_config("cosine", pairs=3, epochs=epochs, decay_per="epoch"))
        for epochs in (2, 9, 10)
    }
    assert lines[2] == [
        "WARNING: the learning rate is 0 in the last of 2 epochs, because it decays per epoch; "
        "with --config.optimizer.decay_per=step, it falls until the last step"
    ]
    assert "last of 9 epochs" in lines[9][0]
    assert lines[10] == []
    assert rate_lines(make_config("step", pairs=3, epochs=2, decay_per="epoch")) == []
    assert rate_lines(make_config("cosine", pairs=3, epochs=2)) == []


def test_the_rate_of_a_batch_larger_than_the_split_reaches_0():
    """Batches of 8 from 3 pairs: a step takes several epochs, and the last step ends the run."""
    config = make_config("linear_decay", 3, 8, decay=1, epochs=6, decay_per="epoch")
    assert run_epochs(config) == 6
    assert rates(config)[-1] == 0
    assert run_epochs(make_config("step", 3, 8, epochs=1)) == 1


def test_a_step_with_two_updates_counts_once():
    config = make_config("step", pairs=2, decay_interval=1, decay_factor=0.5)
    schedule = learning_rate_schedule(config, updates_per_step=2)
    found = [float(schedule(np.int32(count))) for count in range(8)]
    assert_close(found, [RATE] * 4 + [RATE / 2] * 4)


def test_the_last_epoch_of_the_pytorch_preset_changes_no_parameter():
    config = preset("pytorch", Config(train=Train(epochs=4, decay_epochs=2)))
    config = resolve_epochs(resolve(config), 3)
    assert (config.train.steps, config.train.num_pairs, config.train.epochs) == (12, 3, None)
    optimizer, params = make_optimizer(config), np.ones(2, np.float32)
    state, updates = optimizer.init(params), []
    for _ in range(12):
        update, state = optimizer.update(np.ones(2, np.float32), state, params)
        updates.append(float(np.abs(update).max()))
    # Two epochs at rates 1 and 2/3 of the learning rate, one at 1/3, and one at 0.
    np.testing.assert_allclose(
        np.array(updates) / RATE, np.repeat([1, 2 / 3, 1 / 3, 0], 3), rtol=1e-3
    )


def test_the_number_of_pairs_changes_no_structure_of_the_optimizer():
    config = make_config("cosine", pairs=5, decay_per="epoch")
    without = replace(config, train=replace(config.train, num_pairs=None))
    for epsilon_hat in (False, True):
        shapes = []
        for each in (config, without):
            each = replace(each, optimizer=replace(each.optimizer, epsilon_hat=epsilon_hat))
            shapes.append(jax.eval_shape(lambda each=each: make_optimizer(each).init(np.ones(2))))
        assert shapes[0] == shapes[1]


def test_the_length_may_change_on_resume_only_if_the_rate_does_not_depend_on_it():
    step, cosine = make_config("step", pairs=5), make_config("cosine", pairs=5)
    assert changed_fields(step, override(step, {"train.steps": "99"})) == []
    assert changed_fields(cosine, override(cosine, {"train.steps": "99"})) == ["train.steps"]
    assert changed_fields(cosine, make_config("cosine", pairs=5, decay=2)) == ["train.decay_epochs"]
    uncounted = replace(cosine, train=replace(cosine.train, num_pairs=None))
    assert changed_fields(cosine, uncounted) == []


@pytest.mark.parametrize("decay_per", ["step", "epoch"])
def test_the_rates_of_step_do_not_depend_on_the_length(decay_per):
    """A run of 10 steps, or 2.5 epochs of 4 pairs, may resume with 20 steps."""
    options = Optimizer(schedule="step", decay_per=decay_per, decay_interval=1, learning_rate=RATE)
    short, long = (
        rates(Config(optimizer=options, train=Train(steps=steps, num_pairs=4)))
        for steps in (10, 20)
    )
    np.testing.assert_array_equal(short, long[:10])
    assert long[8] == pytest.approx(long[7] / 10)


def test_decay_epochs_that_do_not_fit_are_refused():
    for schedule in ("constant", "step"):
        message = refusal(
            resolve, Config(optimizer=Optimizer(schedule=schedule), train=Train(decay_epochs=2))
        )
        assert message.startswith(
            f"train.decay_epochs: the schedule {schedule} has no last epochs of decay; give "
        )
    linear = Optimizer(schedule="linear_decay")
    message = refusal(resolve, Config(optimizer=linear, train=Train(epochs=3, decay_epochs=4)))
    assert "4 is more than train.epochs 3, the length of the whole run" in message
    assert "give --config.train.epochs=7, or fewer" in message
    config = Config(optimizer=linear, train=Train(steps=12, decay_epochs=4))
    message = refusal(resolve_epochs, resolve(config), 5)
    assert "4 is more than the 3 epochs of 5 pairs in train.steps 12" in message


def test_the_default_decay_is_half_of_the_run_or_the_whole_run():
    assert decay_epochs(make_config("linear_decay", pairs=5, epochs=5, decay_per="epoch")) == 2
    assert decay_epochs(make_config("cosine", pairs=5, epochs=5, decay_per="epoch")) == 5
