"""Out of memory, told as a UsageError that names what to make smaller."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from pix2pix_jax.errors import UsageError, reason_of


@contextmanager
def explain_out_of_memory(
    mend: str = "data.batch_size, data.image_size or model.features: too large",
) -> Iterator[None]:
    """Raises UsageError, naming what to make smaller, when a device has no memory left."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        full = "RESOURCE_EXHAUSTED|[Oo]ut of memory"
        if not (isinstance(error, MemoryError) or re.search(full, str(error))):
            raise
        device = jax.devices()[0].device_kind
        raise UsageError(f"{mend} for the memory of {device} ({reason_of(error)})") from error
