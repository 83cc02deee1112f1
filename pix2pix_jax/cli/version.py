"""`pix2pix --version`: the versions of this package, of JAX and of Python."""

import argparse
import platform
from typing import Any

from pix2pix_jax import __version__


class PrintVersion(argparse.Action):
    """Prints the versions and exits, as `--help` does."""

    def __init__(self, **options: Any):
        super().__init__(nargs=0, default=argparse.SUPPRESS, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(describe_version())
        parser.exit()


def describe_version() -> str:
    """One line with all versions; JAX is not imported, because that takes seconds."""
    # This import takes as long as all of `--help`, and few commands need it.
    from importlib import metadata

    try:
        jax = f"JAX {metadata.version('jax')}"
    except metadata.PackageNotFoundError:
        jax = "JAX is not installed"
    return f"pix2pix_jax {__version__} ({jax}, Python {platform.python_version()})"
