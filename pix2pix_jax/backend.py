"""What JAX was told to run on, and what makes it run well there."""

import ctypes
import os

from pix2pix_jax.config import UsageError


def check_backend() -> None:
    """Raises UsageError when JAX cannot have the devices that it was told to use."""
    import jax  # late, so that help comes at once

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # bare where a plugin is not installed
        reason = str(error).partition("\n")[0] or "that platform is not installed"
        raise UsageError(
            f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: no devices ({reason}); "
            "unset it to run on what there is, or install pix2pix_jax[cuda] or [tpu]"
        ) from error


def keep_memory() -> None:
    """Lets the C library keep what is freed, for the next step: on a CPU a sixth of its time.

    XLA has the memory of a step anew each time, hundreds of megabytes, which would be given back
    to the kernel and taken from it page by page. Called before JAX is imported, whose threads
    would else have memory of their own. Does nothing but with glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    # Of malloc.h: no maps of the kernel's, never shrink, and one heap for all threads, as only
    # the first one can grow so large.
    mmap_max, trim_threshold, arena_max = -4, -1, -8
    for option, value in ((mmap_max, 0), (trim_threshold, 2**31 - 1), (arena_max, 1)):
        mallopt(option, value)
