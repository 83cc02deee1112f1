"""Images: their files, channels, sizes and types, and the palettes of label maps."""
