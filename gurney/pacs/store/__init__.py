"""Instances to be stored: whence they come, what they go out in, what became of each (PS3.4 annex B)."""
