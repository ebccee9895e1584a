"""Basic print management (PS3.4 annex H)."""
