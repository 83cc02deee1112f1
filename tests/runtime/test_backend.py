import os
import subprocess
import sys
from platform import libc_ver
from types import SimpleNamespace

import jax
import matplotlib
import pytest
from helpers.command_line import ROOT, run

from pix2pix_jax.runtime import backend

FAULTS = """
import ctypes, resource, sys
from pix2pix_jax.runtime.backend import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    place = library.malloc(2**28)
    library.memset(place, 1, 2**28)
    library.free(place)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(libc_ver()[0] != "glibc", reason="of glibc")
def test_memory_that_was_freed_is_had_again_without_the_kernel():
    """256 MiB are 65,536 pages, or 128 huge ones; some of other things may come between."""

    def faults(how):
        command = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout)

    assert faults("kept") < 10
    assert faults("left") > 100


@pytest.mark.parametrize(
    ("platform", "given", "flags", "kept"),
    [
        ("cpu", -1, "", True),
        ("cpu", 1, f"{backend.FORCED}=4", True),  # JAX's own number comes first
        ("cpu", 2, "", False),
        ("cpu", -1, f"{backend.FORCED}=4 --xla_dump_to=dump", False),
        ("cpu", -1, f"{backend.FORCED}='4'", False),
        ("cpu", -1, f"{backend.FORCED}=4 {backend.FORCED}=1", True),
        ("cpu", -1, "flags.txt", False),
        ("cpu", -1, "missing.txt", True),
        ("tpu", -1, "", False),
    ],
)
def test_memory_is_kept_for_one_device_of_a_cpu(
    tmp_path, monkeypatch, platform, given, flags, kept
):
    """And before JAX starts its threads."""
    called = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flags.txt").write_text(f"{backend.FORCED}=3")
    monkeypatch.setattr(backend, "keep_freed_memory", lambda: called.append("memory"))
    monkeypatch.setattr(jax, "devices", lambda: called.append("devices"))
    monkeypatch.setattr(backend, "expected_platform", lambda: platform)
    monkeypatch.setattr(backend, "set_xla_flags", lambda platform: None)
    monkeypatch.setenv("XLA_FLAGS", flags)
    told = SimpleNamespace(jax_num_cpu_devices=given, jax_compilation_cache_dir="compiled")
    monkeypatch.setattr(jax, "config", told)
    backend.start_backend()
    assert called == ["memory"] * kept + ["devices"]


def test_flags_of_the_user_come_after_ours(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_triton_gemm=true")
    for _ in range(2):  # the second time, all of it is there
        backend.set_xla_flags("gpu")
        ours = "--xla_gpu_enable_triton_gemm=false"
        assert os.environ["XLA_FLAGS"] == f"{ours} --xla_gpu_enable_triton_gemm=true"
    for given, platform in (("flags.txt", "cpu"), ("--xla_dump_to=dump", "tpu")):
        monkeypatch.setenv("XLA_FLAGS", given)
        backend.set_xla_flags(platform)
        assert os.environ["XLA_FLAGS"] == given


@pytest.mark.parametrize(
    ("platforms", "plugins", "libraries", "expected"),
    [
        ("", [], [], "cpu"),
        ("", ["cuda"], [], "gpu"),
        ("cpu", ["cuda"], ["libtpu"], "cpu"),
        ("cuda,cpu", [], [], "gpu"),
        ("tpu", [], [], "tpu"),
        ("", [], ["libtpu"], "tpu"),
    ],
)
def test_where_jax_will_compute(monkeypatch, platforms, plugins, libraries, expected):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(backend, "entry_points", lambda group: plugins)
    monkeypatch.setattr(backend, "find_spec", libraries.count)
    assert backend.expected_platform() == expected


@pytest.mark.slow
def test_what_was_compiled_is_kept_on_disk(tiny, tmp_path):
    """Another seed finds all that it needs; where there is no home to keep it in, it trains."""
    compiled, found = tmp_path / ".cache/pix2pix_jax/compiled", []
    # Its cache of fonts is not to be made anew.
    elsewhere = {"JAX_COMPILATION_CACHE_DIR": "", "MPLCONFIGDIR": matplotlib.get_configdir()}
    elsewhere["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"  # or it would be a matter of luck
    for number in range(2):
        arguments = "train", *tiny, f"--workdir={tmp_path}/{number}", "--config.train.steps=4"
        arguments += (f"--config.seed={number}",)
        status, _, err = run(*arguments, HOME=str(tmp_path), **elsewhere)
        assert (status, err) == (0, "")
        found.append({path.name for path in compiled.glob("*/*-cache")})
    assert found[0] == found[1]
    assert len(found[0]) > 2
    arguments = "train", *tiny, f"--workdir={tmp_path}/2", "--config.train.steps=4"
    status, _, err = run(*arguments, HOME="/proc/1", **elsewhere)
    assert (status, err) == (0, "")
