"""What the images of a dataset hold: facts, their lines, and the search for single pictures."""
