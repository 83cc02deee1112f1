"""Images: their files, channels, sizes and types, and the palettes of label maps.

In the functions that read files, `data` are the bytes of a file of any format, `name` is the name
by which the user knows the file, `limit` is the largest number of pixels, and `header` is the
result of `open_image`.
"""
