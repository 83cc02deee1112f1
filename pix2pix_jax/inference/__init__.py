"""Translation of images of any size by a trained generator: files, folders, and the demo page."""
