"""pix2pix (Isola et al. 2017, arXiv 1611.07004) in JAX: see README.md and `pix2pix --help`."""

__version__ = "0.1.0"
