"""The number of devices that JAX uses, and how the user changes this number."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from pix2pix_jax.runtime.console import plural

COUNT_VARIABLE = "JAX_NUM_CPU_DEVICES"
# The flag of XLA that does the same as JAX's newer option jax_num_cpu_devices.
COUNT_FLAG = "--xla_force_host_platform_device_count"


def is_flags_file(flags: str) -> bool:
    """Whether XLA_FLAGS names a file of flags instead of the flags themselves."""
    return flags.strip()[:1] not in ("", "-")


def num_cpu_devices() -> int:
    """The number of devices into which JAX will divide the CPU."""
    import jax

    config: Any = jax.config  # JAX adds the fields of jax.config at import.
    if config.jax_num_cpu_devices >= 0:  # -1 means that the option is not set.
        return config.jax_num_cpu_devices
    return _count_of_flag() or 1


def _count_of_flag() -> int:
    """The number of devices that XLA_FLAGS sets; 0 if it sets no number."""
    flags = os.environ.get("XLA_FLAGS", "")
    if is_flags_file(flags):
        with suppress(OSError):
            flags = Path(flags.strip()).read_text()
    counts = re.findall(rf"{COUNT_FLAG}=['\"]?(\d+)", flags)
    return int(counts[-1]) if counts else 0


def advise_devices(count: int) -> str:
    """The part of an error line that says how to use fewer devices than JAX has found.

    Args:
      count: the number of devices to use.
    """
    import jax

    wanted = f"use {plural(count, 'device')}"
    if jax.process_count() > 1:
        return f"{wanted} in all processes together"
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"{wanted} ({_advise_cpu(count)})"
    if device.platform == "gpu":
        version = str(getattr(device.client, "platform_version", ""))
        name = "HIP_VISIBLE_DEVICES" if "rocm" in version.lower() else "CUDA_VISIBLE_DEVICES"
        visible = os.environ.get(name, "").split(",")
        chosen = visible if len(visible) >= count and visible[0] else map(str, range(count))
        return f"{wanted} (set {name}={','.join([*chosen][:count])})"
    return wanted


def _advise_cpu(count: int) -> str:
    """How to divide the CPU into fewer devices: change the variable that sets the number."""
    import jax

    config: Any = jax.config
    if config.jax_num_cpu_devices < 0 and _count_of_flag():
        if count == 1:
            return f"remove {COUNT_FLAG} from XLA_FLAGS"
        return f"give {COUNT_FLAG}={count} in XLA_FLAGS"
    if count == 1 and not _count_of_flag():
        return f"unset {COUNT_VARIABLE}"
    return f"set {COUNT_VARIABLE}={count}"
