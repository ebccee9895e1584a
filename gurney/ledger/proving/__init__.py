"""Proof that a peer has what it said it stored, by a query; storage commitment is in ``gurney.ledger.commitments``."""
