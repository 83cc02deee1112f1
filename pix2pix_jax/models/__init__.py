"""Both networks as pure Flax modules, and the tables of their layers."""
