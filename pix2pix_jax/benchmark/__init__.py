"""Times training steps, their parts, their growth with the work, and those of other libraries."""
