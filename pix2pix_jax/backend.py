"""What JAX was told to run on."""

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
