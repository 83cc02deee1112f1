"""A trained generator on images of any size: files, folders, tiles and the demo page."""
