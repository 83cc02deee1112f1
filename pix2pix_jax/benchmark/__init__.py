"""Times our training steps, also at other sizes, their parts, and steps of other libraries."""
