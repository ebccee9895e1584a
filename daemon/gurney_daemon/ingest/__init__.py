"""What a modality drops into a folder becomes rows of the ledger, and nothing of it is lost on the way."""
