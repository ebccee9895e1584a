"""Instances to be stored: where they come from, what they go out in, what became of each (PS3.4 annex B)."""
