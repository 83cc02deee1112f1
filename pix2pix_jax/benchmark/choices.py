"""What a benchmark can time besides our training step: other implementations, and other sizes.

`pix2pix --help` reads these tables and must be fast, so this module imports no library.
"""

# The implementations of every peer by their names in the results, as functions of the peer's file.
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
# The values of a config that --sweep varies.
SWEEPS = {
    "batch": (1, 2, 4, 8, 16),
    "size": (64, 128, 256, 512),
    "devices": (1, 2, 4),
}
