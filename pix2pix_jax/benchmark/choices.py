"""The values of --peers and --sweep: what a benchmark can time besides our training step.

`pix2pix --help` reads these tables and must be fast, so this module imports no library.
"""

# The implementations of every peer: the name of each in the results, and the function in the peer's
# file that makes its trial.
PEERS = {
    "torch": {
        "torch": "make_eager_trial",
        "torch tuned": "make_tuned_trial",
        "torch compiled": "make_compiled_trial",
    },
    "keras": {"keras": "make_trial"},
    "flax": {"flax": "make_trial"},
}
LIBRARIES = {"torch": ["torch"], "keras": ["keras", "tensorflow"], "flax": ["flax"]}
# What each --sweep times: batch sizes, sides of images in pixels, or numbers of devices.
SWEEPS = {
    "batch": (1, 2, 4, 8, 16),
    "size": (64, 128, 256, 512),
    "devices": (1, 2, 4),
}
