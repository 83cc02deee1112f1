"""Values that are not finite and a collapsed discriminator are reported."""

import json

import numpy as np
import pytest
from helpers.refusals import refusal

from pix2pix_jax.checkpoints.errors import StateNotFinite
from pix2pix_jax.config.files import write_config
from pix2pix_jax.data.pipeline import batch_names, make_crop_batches
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.training.divergence import (
    CollapseWatch,
    NotFinite,
    advise_lower_rate,
    explain_divergence,
)


@pytest.fixture
def records():
    """Seven pairs with their numbers as names."""
    return [{"name": str(number).encode()} for number in range(7)]


def test_batch_names_lists_the_pairs_of_its_step(small, records):
    batches = make_crop_batches(small, range(len(records)))
    seen = [str(batches[i]["pair"][0]) for i in range(14)]
    assert sorted(seen[:7]) == sorted(seen[7:]) == [str(number) for number in range(7)]
    assert [batch_names(small, records, step) for step in range(14)] == [[name] for name in seen]


def test_a_file_names_the_pairs_of_a_step_with_a_loss_that_is_not_finite(small, records, tmp_path):
    def diverge():
        with explain_divergence(small, records, Workdir(tmp_path)):
            raise NotFinite(3, "loss/generator_l1", np.nan)

    path = tmp_path / "not_finite.json"
    expected = f"step 3: loss/generator_l1 is nan ({path} names the pairs of this step); nothing"
    assert refusal(diverge).startswith(expected)
    assert json.loads(path.read_text()) == {
        "step": 3,
        "term": "loss/generator_l1",
        "value": "nan",
        "pairs": batch_names(small, records, 2),
    }


def test_a_validation_error_that_is_not_finite_names_no_training_pairs(small, records, tmp_path):
    def diverge():
        with explain_divergence(small, records, Workdir(tmp_path)):
            raise NotFinite(3, "validation/l1", np.nan)

    assert refusal(diverge).startswith("step 3: validation/l1 is nan")
    assert list(tmp_path.iterdir()) == []


def test_the_fix_depends_on_what_is_saved(small, tmp_path):
    """Before the first call to the devices has ended, the workdir has neither config nor steps."""
    workdir, rate = Workdir(tmp_path / "run"), "--config.optimizer.learning_rate=0.0001"
    assert advise_lower_rate(workdir, small) == (
        f"nothing was saved; run the same command with a lower learning rate: {rate}"
    )
    write_config(small, workdir.config_file)
    assert advise_lower_rate(workdir, small) == (
        f"no step was saved; run the same command with {rate} and --workdir={workdir}_2"
    )
    workdir.checkpoint(4).mkdir(parents=True)
    assert advise_lower_rate(workdir, small) == (
        "to continue from step 4 in a new run with a lower learning rate, run "
        f"`pix2pix train --init={workdir} --workdir={workdir}_2 {rate}`"
    )


def test_a_state_that_is_not_finite_has_the_same_fix(small, records, tmp_path):
    def diverge():
        with explain_divergence(small, records, Workdir(tmp_path / "run")):
            raise StateNotFinite("step 3: generator/up1/kernel has values that are not finite")

    assert "not finite; nothing was saved; run the same command with" in refusal(diverge)


def test_a_collapsed_discriminator_is_reported_once_until_its_loss_rises(capsys):
    watch, low, high = CollapseWatch("vanilla"), np.full(400, 1e-4), np.full(1, 0.1)
    warnings = []
    for step, losses in enumerate([high, low, low, low, low, high, low, low, low, high]):
        watch.update(step, losses)
        warnings.append(capsys.readouterr().err)
    assert [step for step, text in enumerate(warnings) if text] == [3, 8]
    assert warnings[3].startswith("step 3: loss/discriminator has been under 0.001 for 1,200 steps")


@pytest.mark.parametrize("gan", ["none", "wgan_gp"])
def test_a_loss_without_a_lower_bound_causes_no_warning(gan, capsys):
    CollapseWatch(gan).update(2000, np.full(2000, -5.0))
    assert capsys.readouterr().err == ""
