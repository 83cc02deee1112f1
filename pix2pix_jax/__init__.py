"""pix2pix (Isola et al. 2017, arXiv 1611.07004) in JAX: see README.md and `pix2pix --help`."""

from pix2pix_jax.installation import check_installation, is_command_line

__version__ = "0.1.0"

check_installation()
if not is_command_line():  # A command does the same later, in `backend.load_jax`.
    from pix2pix_jax.runtime.jax_options import warn_of_ignored_options

    warn_of_ignored_options()
