"""Strict JAX for every test: four devices on one CPU, no silent rank promotion."""

import os
import shutil
import tempfile
from dataclasses import replace
from importlib.metadata import version

from packaging.version import Version

# All tests share one cache of compiled programs.
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers use the cache of their parent process
    CACHE = tempfile.TemporaryDirectory(prefix="pix2pix-compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
os.environ["JAX_PLATFORMS"] = "cpu"
# Without optimization, programs compile in a quarter of the time, but run slowly. The old code
# generator, which JAX 0.12 no longer has, gives the same bits in different programs only without
# the fused multiply-adds of AVX2.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
if Version(version("jaxlib")) < Version("0.11"):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false --xla_cpu_max_isa=AVX"

import jax
import pytest
from helpers.command_line import TINY, run, train
from helpers.evaluations import PAPER, VARIANTS
from helpers.shared_folders import copy_once, make_once
from hypothesis import HealthCheck, settings

from pix2pix_jax.config import Config, Data, Loss, Model, Train
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.runtime.storage import lease
from pix2pix_jax.sweeps.sweep_file import SweepPlan

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


@pytest.fixture(autouse=True)
def short_settle_time(monkeypatch):
    """Removes the wait from claims of workdirs, because no other host writes to tests' folders."""
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0)


@pytest.fixture(scope="session")
def small() -> Config:
    """The smallest config with jitter, dropout and layers with and without norm."""
    return resolve(
        Config(
            data=Data(image_size=(32, 32), direction="BtoA", synthetic_pairs=(6, 2, 2)),
            model=Model(features=8, depth=4, discriminator="patch16", discriminator_features=8),
            loss=Loss(),
            train=Train(steps=8, log_every=2, checkpoint_every=4, sample_every=8),
        )
    )


@pytest.fixture
def plan(small):
    """The plan of a sweep: two rows with two seeds each; the batch is divisible by four devices."""
    small = replace(small, data=replace(small.data, batch_size=4))
    models = [replace(small.model, features=n) for n in (8, 8, 16, 16)]
    variants = [
        (name, replace(small, seed=index % 2, model=model))
        for index, (name, model) in enumerate(zip(VARIANTS, models, strict=True))
    ]
    return SweepPlan("Little and big", variants, PAPER)


@pytest.fixture(scope="session")
def browser():
    """A Chromium without a window."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
    if path is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        # Chromium does not start in a sandbox if the user is root.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def tiny_flags(tmp_path_factory):
    """The flags of a tiny run; its data are prepared once."""

    def prepare(data_dir):
        flags = tiny_flags_of(data_dir)
        status, out, err = run("prepare", *flags, fork=False)
        assert (status, err) == (0, "")
        counts = out.split(": ")[1].split(" pairs")[0].split(", ")
        assert {"6 train", "2 val", "2 test"} <= set(counts)

    return tiny_flags_of(make_once(tmp_path_factory, "tiny_data", prepare))


def tiny_flags_of(data_dir):
    return ("--config=experiments/quickstart.py", f"--config.data.data_dir={data_dir}", *TINY)


@pytest.fixture(scope="session")
def first_steps(tiny_flags, tmp_path_factory):
    """The workdir of a run of four steps, which tests can copy and resume."""

    def train_four_steps(workdir):
        status, _, err = train(tiny_flags, workdir, 4)
        assert (status, err) == (0, "")

    return make_once(tmp_path_factory, "first_steps", train_four_steps)


@pytest.fixture(scope="session")
def uninterrupted_run(tiny_flags, tmp_path_factory):
    """The workdir of a run of twelve steps that nothing interrupted."""

    def train_twelve_steps(workdir):
        status, _, err = train(tiny_flags, workdir, 12)
        assert (status, err) == (0, "")

    return copy_once(tmp_path_factory, "uninterrupted", train_twelve_steps)
