"""`python -m pix2pix_jax COMMAND` is `pix2pix COMMAND`."""

import sys

from pix2pix_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
