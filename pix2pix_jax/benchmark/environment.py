"""The environment of a benchmark: its workers' variables, the machine, versions of libraries."""

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions, version
from tempfile import TemporaryDirectory
from typing import Any

from pix2pix_jax.runtime.cpu import cpu_info


@contextmanager
def worker_environment(devices: int = 0) -> Iterator[dict[str, str]]:
    """Makes the environment variables of the workers, which are valid in the `with` block.

    With these variables, the workers share the memory of a GPU, and a new cache of compiled
    programs.

    Args:
      devices: the number of devices that a worker sees; 0: all devices.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as compiled:
        environment = {
            # Python warns of leaked locks if a process is killed, but the system frees these locks.
            "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "JAX_COMPILATION_CACHE_DIR": compiled,
            "TORCHINDUCTOR_CACHE_DIR": compiled,
        }
        if devices:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            gpus = map(str, range(devices)) if visible is None else visible.split(",")[:devices]
            environment |= {
                "JAX_NUM_CPU_DEVICES": str(devices),
                "CUDA_VISIBLE_DEVICES": ",".join(gpus),
            }
        if os.environ.get("JAX_PLATFORMS") == "cpu":  # Then the peers must use the CPU, too.
            environment["CUDA_VISIBLE_DEVICES"] = ""
        yield environment


def machine() -> dict[str, Any]:
    """The processor of this machine, and the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Only Linux has this function.
    return {
        "cpu": cpu_info("model name") or platform.processor() or platform.machine(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
    }


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """The versions of Python and of all given libraries that are installed, by import name."""
    distributions = packages_distributions()
    python = {"python": platform.python_version()}
    installed = {name: distributions[name][0] for name in libraries if name in distributions}
    return python | {name: version(distribution) for name, distribution in installed.items()}
