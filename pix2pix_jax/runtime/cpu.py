"""The CPU of this machine, and its memory."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

HUGE_PAGE = 2**21  # bytes


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
    small blocks into these bytes. After the large block is freed, the gap is too small for the next
    block of the same size. The memory in use then grows without bound.
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
