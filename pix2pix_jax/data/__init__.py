"""Datasets of image pairs: pairs are written once as records, and training reads batches[step].

The modules, in the order in which a pair passes through them:

    data_dir     knows the paths inside data.data_dir
    download     downloads the archives of the public sets
    archives     unpacks tarballs and zip files within limits; explains why other files are refused
    layout       finds the pairs of a folder, and the split of each pair, by names (pairs)
    images       reads image files (image_reader), TIFF files (tiff_files), PNG and PPM files of
                 16 bits (deep_files), and colour profiles (profiles); decodes the files of
                 records (image_files); reads images and .npy files for `translate` (full_depth);
                 converts channels, sizes and types (pixels); compares proportions (proportions);
                 reads the classes of a label map from its colours (palettes)
    synthetic    draws the pairs of synthetic_facades
    builders     makes the records of a dataset: the bytes of the files of every pair
    contents     collects facts about images while they are written (collector), and reports them
                 (lines); finds single pictures among side-by-side pairs (single_pictures, likeness)
    records      writes a dataset, and opens a split of it
    prepare      finds the dataset of a config, or writes it
    old_datasets compares datasets of earlier versions with the pairs of their source
    fingerprint  hashes the files of a source, and the pairs of a dataset
    pair_names   stores the names of the pairs of a run, and describes how a dataset differs
    examples     turns a record into arrays: input and target, or photo and classes
    augment      crops and mirrors the arrays at random
    pipeline     makes the batches of the training split

In the modules of this folder, `data` is the data of a resolved config, `dataset` is the result of
`prepare`, and `record` is a record of `open_split`.

To read another folder layout, start at `layout/roles`. To read another format of image files, start
at `images/image_reader`. To give networks or metrics another array, start at `examples`.
"""
