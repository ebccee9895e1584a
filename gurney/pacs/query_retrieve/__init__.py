"""Query, move and get over an association (PS3.4 annex C)."""
