"""Facts about the images of a dataset, lines about them, and the search for single pictures."""
