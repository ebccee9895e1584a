"""HL7 v2: what a message says of who comes and who is whom. Pure; who listens for messages is in the daemon."""
