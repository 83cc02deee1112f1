"""Strict JAX for every test: four devices on one CPU, no silent rank promotion."""

import json
import os
import shutil
import tempfile
from dataclasses import replace

# What one test has compiled, in this process or in one it starts, the next need not.
if "PYTEST_XDIST_WORKER" not in os.environ:  # whose workers share that of the process above them
    CACHE = tempfile.TemporaryDirectory(prefix="pix2pix-compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
os.environ["JAX_PLATFORMS"] = "cpu"
# Compiled in half the time, to run slower.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"

import jax
import numpy as np
import pytest
from command_line import TINY, run, train
from hypothesis import HealthCheck, settings
from PIL import Image

from pix2pix_jax.config import Config, Data, Loss, Model, Train, UsageError, identity, resolve
from pix2pix_jax.config_files import Sweep
from pix2pix_jax.train_step import create_state

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")

for profile, examples in (("short", 20), ("long", 500)):
    settings.register_profile(
        profile,
        max_examples=examples,
        deadline=5000,  # ms
        derandomize=profile == "short",
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("short")


def refusal(call, *arguments) -> str:
    """The one line of the UsageError that a call raises."""
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def small() -> Config:
    """The smallest config with every part of the paper's: jitter, dropout, both norms' places."""
    return resolve(
        Config(
            data=Data(image_size=(32, 32), direction="BtoA", synthetic_pairs=(6, 2, 2)),
            model=Model(features=8, depth=4, discriminator="patch16", discriminator_features=8),
            loss=Loss(),
            train=Train(steps=8, log_every=2, checkpoint_every=4, sample_every=8),
        )
    )


HALVES = ("generator", "discriminator")


def state_of(config):
    """With parameters of which no two are alike."""
    rng = np.random.default_rng(0)

    def stirred(leaf):
        noise = rng.standard_normal(leaf.shape).astype(np.float32)
        return 0.1 * noise if leaf.ndim == 4 else leaf + 0.3 * noise

    state = jax.device_get(create_state(config))
    params = {name: jax.tree.map(stirred, getattr(state, name).params) for name in HALVES}
    return state.replace(
        **{name: getattr(state, name).replace(params=params[name]) for name in HALVES}
    )


VARIANTS = ["little/seed0", "little/seed1", "big/seed0", "big/seed1"]
PAPER = {"big": {"class_iou": 0.17}, "ground truth": {"class_iou": 0.21}}


@pytest.fixture
def plan(small):
    """Two rows of two seeds, each of a batch that conftest's four devices can share."""
    small = replace(small, data=replace(small.data, batch_size=4))
    models = [replace(small.model, features=n) for n in (8, 8, 16, 16)]
    variants = [
        (name, replace(small, seed=place % 2, model=model))
        for place, (name, model) in enumerate(zip(VARIANTS, models, strict=True))
    ]
    return Sweep("Little and big", variants, PAPER)


def evaluated(config, folder, split, iou, truth=0.9, pairs="pairs", judge="judge"):
    """Writes what an evaluation leaves, but for its page."""
    for kind in ("input", "output", "target"):
        path = folder / "report" / f"evaluation_{split}" / kind / "a.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(path)
    counts = {"lab_l": [1] * 101, "lab_a": [1] * 221, "lab_b": [1] * 221}
    (folder / "report" / f"evaluation_{split}.html").touch()
    summary = {
        "split": split, "step": config.train.steps, "seed": config.seed, "images": 1,
        "segmenter": judge, "data": pairs,
        "config_sha256": identity(config), "metrics": {"class_iou": iou, "psnr": None},
        "ground_truth": {"class_iou": truth}, "pairs": [{"name": "a"}],
        "lab_histograms": {"output": counts, "target": counts},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"evaluation_{split}.json").write_text(json.dumps(summary))


@pytest.fixture(scope="session")
def browser():
    """A Chromium without a window."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
    if path is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        # Without a sandbox, as root in a container cannot have one.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Arguments of a tiny run, and its data, prepared once."""
    data_dir = tmp_path_factory.mktemp("data")
    tiny = ("--config=experiments/quickstart.py", f"--config.data.data_dir={data_dir}", *TINY)
    status, out, err = run("prepare", *tiny)
    assert (status, err) == (0, "")
    assert {"6 train", "2 val", "2 test"} <= set(out.split(": ")[1].split(" pairs")[0].split(", "))
    return tiny


@pytest.fixture(scope="session")
def straight(tiny, tmp_path_factory):
    """Twelve steps in one go."""
    workdir = tmp_path_factory.mktemp("straight")
    status, _, err = train(tiny, workdir, 12)
    assert (status, err) == (0, "")
    return workdir
