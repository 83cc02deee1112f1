"""One process trains in a workdir: how it claims it, and what another one is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.lease import leased
from pix2pix_jax.runtime.locks import locked



class Occupied(UsageError):
    """Another process is at work where this one was sent."""


@contextmanager
def owned(workdir: Path) -> Iterator[None]:
    """Raises Occupied when another process trains in the workdir."""
    with one_trains(workdir), locked(workdir, wait=False) as flocked, leased(workdir, flocked):
        yield


@contextmanager
def one_trains(workdir: Path | str) -> Iterator[None]:
    """Raises Occupied where what would lock the workdir finds it locked."""
    try:
        yield
    except BlockingIOError as error:
        raise Occupied(
            f"{workdir}: another process trains in it; wait for that, or give another --workdir"
        ) from error
