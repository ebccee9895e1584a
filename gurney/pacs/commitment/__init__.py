"""Storage commitment: a peer takes responsibility for what it stores (PS3.4 annex J)."""
