"""Flags: parses them, lists the fields that they set, and answers unknown flags."""
