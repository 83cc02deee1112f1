"""Timing: training steps of ours and of peers in turns, the parts of a step, and how cost grows."""
