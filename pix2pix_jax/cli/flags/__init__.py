"""Flags: parses them, lists the fields that they set, and explains unknown flags."""
