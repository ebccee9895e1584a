"""Retrievals in the ledger: asked for, claimed, answered by what arrives, settled."""
