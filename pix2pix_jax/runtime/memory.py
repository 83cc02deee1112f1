"""Explains an out-of-memory error by the fields that the user can make smaller."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from pix2pix_jax.errors import UsageError, reason_of

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED|[Oo]ut of memory"


@contextmanager
def explain_out_of_memory(
    problem: str = "data.batch_size, data.image_size or model.features: too large",
    fix: str = "give a smaller value",
) -> Iterator[None]:
    """Turns an out-of-memory error inside the `with` block into a UsageError.

    Args:
      problem: the start of the error line, "FIELD: too large".
      fix: the end of the error line.

    Raises:
      UsageError: the host or a device ran out of memory.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not (isinstance(error, MemoryError) or re.search(OUT_OF_MEMORY, str(error))):
            raise
        device = jax.devices()[0].device_kind
        raise UsageError(
            f"{problem} for the memory of {device} ({reason_of(error)})", fix
        ) from error
