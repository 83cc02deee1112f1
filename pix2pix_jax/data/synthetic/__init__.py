"""Facades drawn by program, as pairs to train on without a download."""
