"""Starts JAX with fast settings, and with a cache on disk for its compiled programs."""

import os
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pix2pix_jax.errors import UsageError, reason_of
from pix2pix_jax.installation import OLDEST_JAX, find_fix
from pix2pix_jax.runtime.compile_cache import cache_compiled_programs
from pix2pix_jax.runtime.cpu import keep_freed_memory
from pix2pix_jax.runtime.device_count import is_flags_file, num_cpu_devices
from pix2pix_jax.runtime.jax_options import IGNORED, pin_options
from pix2pix_jax.suggestions import closest_name

XLA_FLAGS = {
    # With this flag, XLA updates an array in place if the order of operations allows it.
    "cpu": "--xla_cpu_copy_insertion_use_region_analysis=true",
    # The matrix products of the vendor are as fast as those of Triton, but need no time for tuning.
    "gpu": "--xla_gpu_enable_triton_gemm=false",
}
# The variables that choose the platform; JAX still reads the two older variables.
PLATFORM_VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_XLA_BACKEND")
PLATFORMS = ("cpu", "gpu", "cuda", "rocm", "tpu")
DEVICE_AXIS = "devices"  # the only axis of a mesh


def load_jax() -> None:
    """Imports JAX with the options of this project.

    Call this function before the first import of JAX, because JAX reads the environment then.

    Raises:
      UsageError: JAX is too old, or cannot read an environment variable.
    """
    if ignored := pin_options():
        print(f"{', '.join(ignored)}: {IGNORED}", file=sys.stderr)
    # JAX imports NumPy, too, but hides the reason if NumPy cannot be loaded.
    import numpy  # noqa: F401

    try:
        import jax  # It is not imported at the top, because `--help` needs no JAX.
    except ValueError as error:  # for example from the conversion of a variable to a number
        variables = sorted(name for name in os.environ if name.startswith("JAX_"))
        reason = reason_of(error)
        named = [name for name in variables if name.lower() in reason.lower()]
        raise UsageError(
            f"{', '.join(named or variables)}: JAX cannot read this environment variable "
            f"({reason})",
            "correct or unset it",
        ) from error
    if jax.__version_info__ < OLDEST_JAX:
        oldest = ".".join(map(str, OLDEST_JAX))
        raise UsageError(
            f"jax {jax.__version__} in {sys.prefix} is too old, because pix2pix_jax needs {oldest} "
            "or newer",
            find_fix(),
        )


def start_backend() -> None:
    """Starts JAX. Every command that computes calls this function first.

    Raises:
      UsageError: JAX cannot use the devices that the environment names.
    """
    load_jax()
    import jax

    platform = expected_platform()
    set_xla_flags(platform)
    if platform == "cpu" and num_cpu_devices() == 1:
        keep_freed_memory()
    cache_compiled_programs()
    try:
        jax.devices()
    # An AssertionError means that a plugin is not installed.
    except (RuntimeError, AssertionError, ValueError) as error:
        raise explain_missing_devices(error) from error
    if (variables := _platform_variables()) and platform != jax.default_backend().lower():
        name = variables[0].partition("=")[0]
        print(
            f"{variables[0]}: {platform} is not available, so the program uses the "
            f"{jax.default_backend()}; unset {name}, or install the plugin for {platform}",
            file=sys.stderr,
        )


def explain_missing_devices(error: Exception) -> UsageError:
    """The UsageError for an exception that JAX raised while it looked for devices."""
    variables = _platform_variables()
    reason = reason_of(error) if str(error).strip() else "that platform is not installed"
    if not variables:
        return UsageError(
            f"JAX: no devices were found ({reason})",
            "end the other program that uses the devices, or set JAX_PLATFORMS=cpu",
        )
    names = " and ".join(variable.partition("=")[0] for variable in variables)
    name, _, value = variables[0].partition("=")
    # JAX knows a platform only in lower case and without spaces.
    parts = filter(None, map(str.strip, value.split(",")))
    meant = ",".join(closest_name(part, PLATFORMS) or part for part in parts)
    if meant != value:
        return UsageError(
            f"{variables[0]}: no devices were found ({reason})", f"did you mean {name}={meant}?"
        )
    return UsageError(
        f"{' '.join(variables)}: no devices were found ({reason})",
        f"unset {names} to use the devices of this machine, or install pix2pix_jax[cuda] or "
        "pix2pix_jax[tpu]",
    )


def _platform_variables() -> list[str]:
    """The environment variables that choose the platform, each as NAME=VALUE."""
    return [f"{name}={os.environ[name]}" for name in PLATFORM_VARIABLES if os.environ.get(name)]


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
    chosen = next(filter(None, (os.environ.get(name) for name in PLATFORM_VARIABLES)), "")
    if chosen := chosen.partition(",")[0].strip().lower():
        return "gpu" if chosen in ("cuda", "rocm") else chosen
    if find_spec("libtpu"):
        return "tpu"
    return "gpu" if entry_points(group="jax_plugins") else "cpu"


def set_xla_flags(platform: str) -> None:
    """Adds this project's flag for a platform to the environment variable XLA_FLAGS.

    The user's flags come after this flag: if a flag is given twice, XLA obeys the second value. If
    XLA_FLAGS names a file of flags, the variable does not change.

    Raises:
      UsageError: the file of flags does not exist.
    """
    user_flags, flag = os.environ.get("XLA_FLAGS", ""), XLA_FLAGS.get(platform)
    if is_flags_file(user_flags) and not Path(user_flags.strip()).is_file():  # XLA would abort.
        raise UsageError(
            f"XLA_FLAGS={user_flags}: there is no such file",
            "give flags, which begin with --, or the path of a file with flags",
        )
    if flag and not is_flags_file(user_flags) and flag not in user_flags.split():
        os.environ["XLA_FLAGS"] = " ".join([flag, *user_flags.split()])
