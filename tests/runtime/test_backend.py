"""JAX starts with fast flags and a cache of programs, and missing devices are reported."""

import os
import subprocess
import sys
from platform import libc_ver
from types import SimpleNamespace

import jax
import matplotlib
import pytest
from helpers.command_line import ROOT, run

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime import backend
from pix2pix_jax.runtime.device_count import COUNT_FLAG

FAULTS = """
import ctypes, resource, sys
from pix2pix_jax.runtime.cpu import keep_freed_memory

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


@pytest.mark.skipif(libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again_without_the_kernel():
    """256 MiB are 65,536 pages, or 128 huge pages; a few page faults have other causes."""

    def page_faults(mode):
        command = [sys.executable, "-c", FAULTS, mode]
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout)

    assert page_faults("kept") < 10
    assert page_faults("default") > 100


@pytest.mark.parametrize(
    ("platform", "given", "flags", "kept"),
    [
        ("cpu", -1, "", True),
        ("cpu", 1, f"{COUNT_FLAG}=4", True),  # The option replaces the flag.
        ("cpu", 2, "", False),
        ("cpu", -1, f"{COUNT_FLAG}=4 --xla_dump_to=dump", False),
        ("cpu", -1, f"{COUNT_FLAG}='4'", False),
        ("cpu", -1, f"{COUNT_FLAG}=4 {COUNT_FLAG}=1", True),
        ("cpu", -1, "flags.txt", False),
        ("cpu", -1, "missing.txt", True),
        ("tpu", -1, "", False),
    ],
)
def test_memory_is_kept_for_one_device_of_a_cpu(
    tmp_path, monkeypatch, platform, given, flags, kept
):
    """`keep_freed_memory` is called before JAX starts its threads."""
    called = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flags.txt").write_text(f"{COUNT_FLAG}=3")
    monkeypatch.setattr(backend, "keep_freed_memory", lambda: called.append("memory"))
    monkeypatch.setattr(jax, "devices", lambda: called.append("devices"))
    monkeypatch.setattr(backend, "expected_platform", lambda: platform)
    monkeypatch.setattr(backend, "load_jax", lambda: None)
    monkeypatch.setattr(backend, "set_xla_flags", lambda platform: None)
    monkeypatch.setattr(backend, "cache_compiled_programs", lambda: None)
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setattr(jax, "config", SimpleNamespace(jax_num_cpu_devices=given))
    backend.start_backend()
    assert called == ["memory"] * kept + ["devices"]


def test_the_users_flags_come_after_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flags.txt").touch()
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_triton_gemm=true")
    for _ in range(2):  # The second call adds no flag.
        backend.set_xla_flags("gpu")
        ours = "--xla_gpu_enable_triton_gemm=false"
        assert os.environ["XLA_FLAGS"] == f"{ours} --xla_gpu_enable_triton_gemm=true"
    for given, platform in (("flags.txt", "cpu"), ("--xla_dump_to=dump", "tpu")):
        monkeypatch.setenv("XLA_FLAGS", given)
        backend.set_xla_flags(platform)
        assert os.environ["XLA_FLAGS"] == given


def test_a_file_of_flags_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "missing.txt")
    with pytest.raises(UsageError, match=r"^XLA_FLAGS=missing.txt: there is no such file"):
        backend.set_xla_flags("cpu")


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
def test_the_platform_is_guessed_before_jax_starts(
    monkeypatch, platforms, plugins, libraries, expected
):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(backend, "entry_points", lambda group: plugins)
    monkeypatch.setattr(backend, "find_spec", libraries.count)
    assert backend.expected_platform() == expected


def test_another_platform_than_the_first_in_the_list_is_reported(monkeypatch, capsys):
    """JAX falls back to the CPU without a word, which makes training many times slower."""
    for name in ("load_jax", "cache_compiled_programs"):
        monkeypatch.setattr(backend, name, lambda: None)
    monkeypatch.setattr(backend, "set_xla_flags", lambda platform: None)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda,cpu")
    backend.start_backend()
    line = (
        "JAX_PLATFORMS=cuda,cpu: gpu is not available, so the program uses the cpu; unset "
        "JAX_PLATFORMS, or install the plugin for gpu\n"
    )
    assert capsys.readouterr().err == line
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    backend.start_backend()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("given", "meant"),
    [("CPU", "cpu"), ("cpu, ", "cpu"), ("ROCm, CPU", "rocm,cpu"), ("cdua", "cuda")],
)
def test_a_misspelt_platform_is_corrected(monkeypatch, given, meant):
    monkeypatch.setenv("JAX_PLATFORMS", given)
    error = backend.explain_missing_devices(RuntimeError("unknown backend"))
    assert error.problem == f"JAX_PLATFORMS={given}: no devices were found (unknown backend)"
    assert error.fix == f"did you mean JAX_PLATFORMS={meant}?"


@pytest.mark.slow
def test_compiled_programs_are_kept_on_disk(tiny_flags, tmp_path):
    """A run with another seed compiles no new program; without a home folder, there is no cache."""
    compiled, found = tmp_path / ".cache/pix2pix_jax/compiled", []
    # Matplotlib would search for fonts in a new home folder, so it keeps its own cache.
    elsewhere = {"JAX_COMPILATION_CACHE_DIR": "", "MPLCONFIGDIR": matplotlib.get_configdir()}
    # By default, JAX keeps only programs that took long to compile.
    elsewhere["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    for number in range(2):
        arguments = "train", *tiny_flags, f"--workdir={tmp_path}/{number}", "--config.train.steps=4"
        arguments += (f"--config.seed={number}",)
        status, _, err = run(*arguments, HOME=str(tmp_path), **elsewhere)
        assert (status, err) == (0, "")
        found.append({path.name for path in compiled.glob("*/*-cache")})
    assert found[0] == found[1]
    assert len(found[0]) > 2
    arguments = "train", *tiny_flags, f"--workdir={tmp_path}/2", "--config.train.steps=4"
    status, _, err = run(*arguments, HOME="/proc/1", fork=False, **elsewhere)
    assert status == 0
    assert err.startswith("/proc/1/.cache: No such file or directory; compiled programs are not")
    assert len(err.splitlines()) == 1
