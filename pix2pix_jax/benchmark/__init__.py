"""Times our training steps and their parts, other sizes, and the steps of other libraries."""
