"""Checkpoints, written and read with Orbax, with a hash of every file."""
