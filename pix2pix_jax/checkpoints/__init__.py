"""Checkpoints by Orbax, with a hash of every file."""
