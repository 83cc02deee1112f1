"""Times training steps: ours and those of peers in turns, the parts of ours, and how cost grows."""
