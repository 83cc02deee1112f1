"""The metrics of a run: sums over a window of steps, and the files and lines that show them."""
