"""Datasets of image pairs: written once as records, read as batches[step].

The modules, in the order in which a pair passes through them:

    data_dir     the paths inside data.data_dir
    sources      which files of a folder make a pair, and its split
    archives     unpacks tarballs
    images       decodes image files to 8 bits a channel (image_files), and 16-bit images and .npy
                 files for `translate` (full_depth); converts channels, sizes and types (pixels);
                 reads the classes of a label map from its colours (palettes)
    synthetic    draws the pairs of synthetic_facades
    builders     the records of a dataset: the bytes of the files of every pair
    records      writes a dataset, and opens a split of it
    prepare      finds the dataset of a config, or writes it
    fingerprint  the hash of all pairs of a dataset
    examples     the arrays of a pair: input and target, or photo and classes
    augment      crops and mirrors the arrays at random
    pipeline     the batches of the training split

To add a folder layout or another file of a pair, start at `sources`; a kind of image file, at
`images/image_files`; an array that networks or metrics get, at `examples`.
"""
