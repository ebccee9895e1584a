"""Gurney: a PACS client framework, and the domain of a transfer daemon that never loses an instance."""
