"""Translates images of any size with a trained generator: files, folders, and the demo page."""
