"""Datasets of image pairs: written once as records, read as batches[step].

The modules, in the order in which a pair passes through them:

    sources      which files of a folder make a pair, and its split
    archives     unpacks tarballs
    image_files  decodes image files, to 8 bits a channel
    builders     the records of a dataset: the bytes of the files of every pair
    records      writes a dataset, and opens a split of it
    prepare      finds the dataset of a config, or writes it
    palettes     the classes of a label map, from its colours
    examples     the arrays of a pair: input and target, or photo and classes
    augment      crops and mirrors the arrays at random
    pipeline     the batches of the training split

`pixels` converts channels, sizes and types for all of them. `full_depth` reads 16-bit images and
.npy files for `translate`. To add a folder layout or another file of a pair, start at `sources`; a
kind of image file, at `image_files`; an array that networks or metrics get, at `examples`.
"""
