"""Instances that modalities push: from their associations into the spool and the ledger, before they are answered."""
