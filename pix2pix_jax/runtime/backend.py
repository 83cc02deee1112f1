"""Starts JAX with fast settings, and with a cache on disk for its compiled programs."""

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
from pix2pix_jax.runtime.storage.files import CACHE, local_path

XLA_FLAGS = {
    # With this flag, XLA updates an array in place if the order of operations allows it.
    "cpu": "--xla_cpu_copy_insertion_use_region_analysis=true",
    # The matrix products of the vendor are as fast as those of Triton, but need no time for tuning.
    "gpu": "--xla_gpu_enable_triton_gemm=false",
}
# The flag of XLA that does the same as JAX's newer option jax_num_cpu_devices.
DEVICE_COUNT_FLAG = "--xla_force_host_platform_device_count"
HUGE_PAGE = 2**21  # bytes
DEVICE_AXIS = "devices"  # the only axis of a mesh


def start_backend() -> None:
    """Starts JAX. Every command that computes calls this function first.

    Raises:
      UsageError: JAX cannot use the devices that JAX_PLATFORMS names.
    """
    platform = expected_platform()
    set_xla_flags(platform)
    # JAX is imported here, because it reads XLA_FLAGS only once, and because `--help` needs no JAX.
    import jax

    if platform == "cpu" and num_cpu_devices() == 1:
        keep_freed_memory()
    cache_compiled_programs()
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # AssertionError if a plugin is not installed
        reason = str(error).partition("\n")[0] or "that platform is not installed"
        raise UsageError(
            f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: no devices were found "
            f"({reason}); unset JAX_PLATFORMS to use the devices of this machine, or install "
            "pix2pix_jax[cuda] or pix2pix_jax[tpu]"
        ) from error


def copy_to_devices(tree: Any) -> Any:
    """Copies arrays to every local device, with the sharding of the state that a step returns.

    With another sharding, JAX would compile the step twice: for its first call, and for all later
    calls.
    """
    import jax

    mesh = jax.sharding.Mesh(jax.local_devices(), (DEVICE_AXIS,))
    return jax.device_put(tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def expected_platform() -> str:
    """The platform that JAX will probably choose when it starts, such as cpu, gpu or tpu."""
    if chosen := os.environ.get("JAX_PLATFORMS", "").partition(",")[0]:
        return "gpu" if chosen in ("cuda", "rocm") else chosen
    if find_spec("libtpu"):
        return "tpu"
    return "gpu" if entry_points(group="jax_plugins") else "cpu"


def set_xla_flags(platform: str) -> None:
    """Adds this project's flag for a platform to the environment variable XLA_FLAGS.

    The user's flags come after this flag: if a flag is given twice, XLA obeys the second value. If
    XLA_FLAGS names a file of flags, the variable does not change.
    """
    user_flags, flag = os.environ.get("XLA_FLAGS", ""), XLA_FLAGS.get(platform)
    if flag and not is_flags_file(user_flags) and flag not in user_flags.split():
        os.environ["XLA_FLAGS"] = " ".join([flag, *user_flags.split()])


def is_flags_file(flags: str) -> bool:
    """Whether XLA_FLAGS names a file of flags instead of the flags themselves."""
    return flags.strip()[:1] not in ("", "-")


def num_cpu_devices() -> int:
    """The number of devices into which JAX will divide the CPU."""
    import jax

    config: Any = jax.config  # JAX adds the fields of jax.config at import.
    if config.jax_num_cpu_devices >= 0:  # -1 means that the option is not set.
        return config.jax_num_cpu_devices
    flags = os.environ.get("XLA_FLAGS", "")
    if is_flags_file(flags):
        with suppress(OSError):
            flags = Path(flags.strip()).read_text()
    counts = re.findall(rf"{DEVICE_COUNT_FLAG}=['\"]?(\d+)", flags)
    return int(counts[-1]) if counts else 1


def cache_compiled_programs() -> None:
    """Sets the folder of JAX's cache of compiled programs, unless the user has set a folder.

    If no home folder is known or the folder is not writable, JAX works without a cache.

    Each kind of CPU has its own folder, because machines of several kinds may share a home folder
    and a CPU cannot run a program that was compiled for another kind.
    """
    import jax

    # If an entry of the cache is damaged or the disk is full, JAX compiles the program again. JAX's
    # warning about the entry does not help the user.
    warnings.filterwarnings("ignore", ".*persistent compilation cache entry")
    config: Any = jax.config  # JAX adds the fields of jax.config at import.
    if config.jax_compilation_cache_dir:
        return
    features = hashlib.sha256((cpu_info("flags") or cpu_info("Features")).encode()).hexdigest()[:8]
    with suppress(OSError, UsageError):  # There may be no home folder, or no permission.
        folder = local_path(f"{CACHE}/compiled") / features
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            config.update("jax_compilation_cache_dir", str(folder))


def cpu_info(field: str) -> str:
    """A field of the first processor in /proc/cpuinfo; "" if there is no such field."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""


def keep_freed_memory() -> None:
    """Makes the C library keep freed memory for the next step.

    On a CPU, this saves a fifth of the time of a step. XLA allocates and frees hundreds of
    megabytes in every step. By default, glibc returns this memory to the kernel after each step and
    gets it back page by page. Without glibc, this function does nothing.

    Call this function before JAX starts its threads; otherwise each thread gets its own heap.

    Do not call this function if JAX divides the CPU into several devices. To align a large block,
    glibc allocates a few more bytes and frees them. If many threads compute, other threads put
    small blocks into these bytes. After the large block is freed, the gap is then too small for the
    next block of the same size, and the memory in use grows without bound.
    """
    try:
        library = ctypes.CDLL(None)
        mallopt, malloc, free, madvise = (
            getattr(library, name) for name in ("mallopt", "malloc", "free", "madvise")
        )
    except (AttributeError, OSError, TypeError):  # not glibc
        return
    # These options of malloc.h make glibc take all blocks from the heap, never shrink the heap, and
    # use one heap for all threads, because only the first heap can grow large enough.
    mmap_max, trim_threshold, arena_max = -4, -1, -8
    for option, value in ((mmap_max, 0), (trim_threshold, -1), (arena_max, 1)):
        mallopt(option, value)
    # Half of the machine's memory is allocated once, but not used, so that the kernel uses huge
    # pages for this part of the heap.
    malloc.restype = ctypes.c_void_p
    malloc.argtypes, free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    if start := malloc(size):
        first = -(-start // HUGE_PAGE) * HUGE_PAGE  # rounded up to a huge page
        madv_hugepage = 14  # MADV_HUGEPAGE in mman.h
        madvise(first, (start + size - first) // HUGE_PAGE * HUGE_PAGE, madv_hugepage)
        free(start)
