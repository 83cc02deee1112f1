"""Facades drawn by a program: pairs to train on without a download."""
