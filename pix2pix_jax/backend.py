"""What JAX was told to run on, and what makes it run well there."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from pix2pix_jax.config import UsageError

XLA_FLAGS = (
    # What is updated in place is not copied first where that can be seen from the order of things.
    "--xla_cpu_copy_insertion_use_region_analysis=true",
    # The vendor's matrix products are as fast as generated ones, and take no time to choose.
    "--xla_gpu_enable_triton_gemm=false",
)
HUGE_PAGE = 2**21


def check_backend() -> None:
    """Starts JAX, with its compiled programs on disk, so that a restart need not make them anew.

    Raises:
      UsageError: it cannot have the devices that it was told to use.
    """
    import jax  # late, so that help comes at once

    if not jax.config.jax_compilation_cache_dir:
        with suppress(OSError, RuntimeError):  # no home, or one that cannot be written to
            compiled = Path("~/.cache/pix2pix_jax/compiled").expanduser()
            compiled.mkdir(parents=True, exist_ok=True)
            if os.access(compiled, os.W_OK):
                jax.config.update("jax_compilation_cache_dir", str(compiled))
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # bare where a plugin is not installed
        reason = str(error).partition("\n")[0] or "that platform is not installed"
        raise UsageError(
            f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: no devices ({reason}); "
            "unset it to run on what there is, or install pix2pix_jax[cuda] or [tpu]"
        ) from error


def tune() -> None:
    """Sets what makes JAX fast, before it is imported; flags that the user has set come last."""
    keep_memory()
    given = os.environ.get("XLA_FLAGS", "").strip()
    if not given or given.startswith("-"):  # or it is the name of a file of flags
        os.environ["XLA_FLAGS"] = " ".join([*XLA_FLAGS, given])


def untuned() -> dict[str, str]:
    """Variables of a process that is to find the flags as they were before `tune`."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    return {"XLA_FLAGS": " ".join(flag for flag in flags if flag not in XLA_FLAGS)}


def keep_memory() -> None:
    """Lets the C library keep what is freed, for the next step: on a CPU a fifth of its time.

    XLA has the memory of a step anew each time, hundreds of megabytes, which would be given back
    to the kernel and taken from it page by page. Called before JAX is imported, whose threads
    would else have memory of their own. Does nothing but with glibc.
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
