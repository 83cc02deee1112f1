"""Layouts: reads from the names of files and folders which images are a pair.

The modules, in the order in which they run:

    walk         lists files; names them for the user
    own_images   finds images that this program wrote
    inventory    sorts files into images, images that are skipped, and everything else
    words        splits names into words
    roles        reads the split and the side of an image from its folders
    splits       refuses folders whose split is in doubt (split_doubts); holds out a part of
                 train as val
    sides        joins A and B by their names; refuses images without a partner
    lookalikes   refuses images if their names look like A and B: in two folders (siblings,
                 common_names) or in one folder (similar_names); side_words knows the words
                 for sides, and advice says what to move or to rename
    unread_splits
                 tells which lists of splits, and which names with a split, are not read
    pairs        runs these steps: `find_pairs`

In all modules, `source` is the source of the images, and a function gets the images that the steps
before it have left.
"""
