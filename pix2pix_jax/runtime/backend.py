"""What JAX was told to run on, and what makes it run well there."""

import ctypes
import hashlib
import os
import re
import warnings
from contextlib import suppress
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.files import local_path

XLA_FLAGS = {
    # What is updated in place is not copied first where that can be seen from the order of things.
    "cpu": "--xla_cpu_copy_insertion_use_region_analysis=true",
    # The vendor's matrix products are as fast as generated ones, and take no time to choose.
    "gpu": "--xla_gpu_enable_triton_gemm=false",
}
FORCED = "--xla_force_host_platform_device_count"  # an older way to have several
HUGE_PAGE = 2**21


def start_backend() -> None:
    """Starts JAX, made fast, with its compiled programs on disk for the next start.

    To be called by every command that computes, before it does.

    Raises:
      UsageError: it cannot have the devices that it was told to use.
    """
    platform = expected_platform()
    set_xla_flags(platform)
    import jax  # late, so that help comes at once

    if platform == "cpu" and num_cpu_devices() == 1:  # with several, it would grow
        keep_freed_memory()
    cache_compiled_programs()
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # bare where a plugin is not installed
        reason = str(error).partition("\n")[0] or "that platform is not installed"
        raise UsageError(
            f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: no devices ({reason}); "
            "unset it to run on what there is, or install pix2pix_jax[cuda] or [tpu]"
        ) from error


def copy_to_devices(tree: Any) -> Any:
    """Arrays on every device, as a step hands its state back; or it would compile twice."""
    import jax

    mesh = jax.sharding.Mesh(jax.local_devices(), ("devices",))
    return jax.device_put(tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def expected_platform() -> str:
    """Where JAX will compute, as far as can be told before it is started: cpu, gpu or tpu."""
    if asked := os.environ.get("JAX_PLATFORMS", "").partition(",")[0]:
        return "gpu" if asked in ("cuda", "rocm") else asked
    if find_spec("libtpu"):
        return "tpu"
    return "gpu" if entry_points(group="jax_plugins") else "cpu"


def set_xla_flags(platform: str) -> None:
    """Adds what a platform needs to XLA_FLAGS; those that the user has set come last, and win."""
    flags, ours = os.environ.get("XLA_FLAGS", ""), XLA_FLAGS.get(platform)
    given = flags.split()
    if ours and not is_flags_file(flags) and ours not in given:
        os.environ["XLA_FLAGS"] = " ".join([ours, *given])


def is_flags_file(flags: str) -> bool:
    """Whether XLA_FLAGS has the name of a file of flags instead of them."""
    return flags.strip()[:1] not in ("", "-")


def num_cpu_devices() -> int:
    """How many devices JAX will make of the CPU: what it was told, or one."""
    import jax

    if jax.config.jax_num_cpu_devices >= 0:  # which JAX prefers
        return jax.config.jax_num_cpu_devices
    flags = os.environ.get("XLA_FLAGS", "")
    if is_flags_file(flags):
        with suppress(OSError):
            flags = Path(flags.strip()).read_text()
    forced = re.findall(rf"{FORCED}=['\"]?(\d+)", flags)
    return int(forced[-1]) if forced else 1


def cache_compiled_programs() -> None:
    """Keeps compiled programs in the user's cache, or where JAX was told to.

    Each kind of CPU has a folder of its own, since machines of several kinds may share a home and
    one cannot run what was compiled for another.
    """
    import jax

    # Of programs that are damaged or find no room: they are compiled anew, and nothing is lost.
    warnings.filterwarnings("ignore", ".*persistent compilation cache entry")
    if jax.config.jax_compilation_cache_dir:
        return
    features = hashlib.sha256((cpu_info("flags") or cpu_info("Features")).encode()).hexdigest()[:8]
    with suppress(OSError, UsageError):  # no home folder, or one that cannot be written to
        compiled = local_path("~/.cache/pix2pix_jax/compiled") / features
        compiled.mkdir(parents=True, exist_ok=True)
        if os.access(compiled, os.W_OK):
            jax.config.update("jax_compilation_cache_dir", str(compiled))


def cpu_info(field: str) -> str:
    """What Linux says of the first processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""


def keep_freed_memory() -> None:
    """Lets the C library keep what is freed, for the next step: on a CPU a fifth of its time.

    XLA has the memory of a step anew each time, hundreds of megabytes, which would be given back
    to the kernel and taken from it page by page. To be called before JAX starts its threads, which
    would else have memory of their own. Does nothing but with glibc.

    Not for several simulated devices. To align a block, glibc takes a few bytes more and frees
    them. With many threads at work, small blocks of other threads land in those bytes; once the
    large block is freed, the hole is too small for the same request, and memory grows without
    bound.
    """
    try:
        library = ctypes.CDLL(None)
        mallopt, malloc, free, madvise = (
            getattr(library, name) for name in ("mallopt", "malloc", "free", "madvise")
        )
    except (AttributeError, OSError, TypeError):
        return
    # Of malloc.h: no maps of the kernel's, never shrink, and one heap for all threads, as only
    # the first one can grow so large.
    mmap_max, trim_threshold, arena_max = -4, -1, -8
    for option, value in ((mmap_max, 0), (trim_threshold, -1), (arena_max, 1)):
        mallopt(option, value)
    # The heap's address space is asked for once, unused, so that it is made of huge pages.
    malloc.restype = ctypes.c_void_p
    malloc.argtypes, free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    if start := malloc(size):
        first = -(-start // HUGE_PAGE) * HUGE_PAGE
        hugepage = 14  # of mman.h
        madvise(first, (start + size - first) // HUGE_PAGE * HUGE_PAGE, hugepage)
        free(start)
